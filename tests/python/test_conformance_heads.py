"""What heads attend to, the tuned lens, and behaviours in numbers, through every door."""

import numpy as np
import pytest

from conftest import close
from interopinterp import errors, evals, heads
from interopinterp.tools.analysis import TunedLens, logit_lens, train_tuned_lens


def test_scores_on_repeated_tokens_are_those_of_the_patterns(induction):
    segments = np.random.default_rng(1).permutation(np.arange(1, 41))[:20].reshape(2, 10) % induction.cfg.d_vocab
    found = heads.score_heads(induction, segments, repeats=3)
    tokens = np.concatenate([segments] * 2, 1)
    cache = induction.run_with_cache(tokens)[1]
    patterns = np.stack([np.asarray(cache["pattern", layer], np.float64) for layer in range(induction.cfg.n_layers)])
    for name, offset, first in (("previous_token", 1, 1), ("duplicate_token", 10, 10), ("induction", 9, 10)):
        diagonal = np.diagonal(patterns, -offset, -2, -1)
        expected = diagonal[..., first - offset:].mean((1, -1))
        assert close(getattr(found, name), expected, 1e-5), name
    assert np.asarray(found.induction).max() > 0.5 and np.asarray(found.previous_token).max() > 0.5
    longer = np.concatenate([segments] * 3, 1)
    cache = induction.run_with_cache(longer)[1]
    patterns = np.stack([np.asarray(cache["pattern", layer], np.float64) for layer in range(induction.cfg.n_layers)])
    at = np.arange(10, 30)
    behind = patterns[..., at, at - 9] + np.where(at >= 20, patterns[..., at, np.maximum(at - 19, 0)], 0)
    assert close(found.prefix_matching, behind.mean((1, -1)), 1e-5)
    assert np.asarray(found.copying).min() >= 0 and found.records()[0].keys() >= {"layer", "head", "copying"}
    assert "induction" in found._repr_html_()


def test_attention_weighted_by_what_is_moved(tiny, tokens):
    cache = tiny.run_with_cache(tokens)[1]
    for by in ("output", "value"):
        found = heads.weighted_attention(tiny, tokens, by=by)
        assert found.shape == (2, 2, 2, 7, 7) and found.axes == ("layer", "row", "head", "query", "key")
        for layer in range(2):
            v = np.asarray(cache[f"blocks.{layer}.attn.hook_v"], np.float64).transpose(0, 2, 1, 3)
            moved = v @ np.asarray(tiny.W_O)[layer] if by == "output" else v
            expected = np.asarray(cache["pattern", layer]) * np.linalg.norm(moved, axis=-1)[:, :, None]
            assert close(np.asarray(found)[layer], expected, 1e-5)
    last = heads.weighted_attention(tiny, tokens, layers=[-1])
    assert list(last.labels["layer"]) == [1] and close(np.asarray(last)[0], np.asarray(heads.weighted_attention(tiny, tokens))[1], 1e-6)


def test_detection_is_the_same_from_a_cache(induction):
    text = induction.to_string([5, 9, 3, 5, 9, 3])
    cache = induction.run_with_cache(text, remove_batch_dim=True)[1]
    for options in (dict(), dict(exclude_bos=True, exclude_current_token=True), dict(error_measure="abs"), dict(heads={1: [0, 2]})):
        here = np.asarray(heads.detect_head(induction, text, "induction_head", **options))
        there = heads.detect_head(induction, text, "induction_head", cache=cache, **options)
        assert close(here, there, 2e-3 if "error_measure" in options else 1e-5)
    assert (here[0] == -1).all() and here[1, 1] == -1 and here[1, 0] >= 0


def test_a_lens_is_trained_kept_and_looked_through(tiny, engine, tmp_path, writable_root):
    rows = np.random.default_rng(3).integers(0, 50, (24, 8))
    lens = train_tuned_lens(tiny, rows, steps=40, batch_size=8, learning_rate=3e-3, seed=1)
    assert list(lens.translators) == ["0.weight", "0.bias", "1.weight", "1.bias"] and lens.losses.shape == (40,)
    assert lens.losses[-5:].mean() < lens.losses[:5].mean() and "40 steps" in repr(lens) and "<svg" in lens._repr_html_()
    plain, tuned = (np.asarray(logit_lens(tiny, rows, positions=None, tuned_lens=one).kl_to_final) for one in ("", lens))
    assert (tuned[:2].mean((1, 2)) < plain[:2].mean((1, 2))).all()
    lens.save(tmp_path / "lens.safetensors")
    back = TunedLens.load(tmp_path / "lens.safetensors")
    assert all(close(back.translators[name], lens.translators[name], 0) for name in lens.translators)
    path = writable_root(engine, f"trained-{engine.door.partition(':')[0]}.safetensors")
    lens.save(path)
    for one in (back, path):
        assert close(logit_lens(tiny, rows, positions=None, tuned_lens=one).kl_to_final, tuned, 1e-6)
    again = train_tuned_lens(tiny, rows, steps=40, batch_size=8, learning_rate=3e-3, seed=1)
    assert np.array_equal(again.losses, lens.losses)


def test_behaviours_in_numbers(induction, shakespeare):
    learnt = float(evals.induction_loss(induction, batch_size=4, subseq_len=10, prepend_bos=False))
    assert learnt < 0.5 * np.log(induction.cfg.d_vocab) and learnt == float(evals.induction_loss(induction, None, 4, 10, False))
    names = ["Romeo", "Juliet", "Anne"]
    dataset = evals.IOIDataset(shakespeare.tokenizer, names=names, num_samples=6, symmetric=True, prepend_bos=False, seed=2)
    assert len(dataset) == 6 and dataset.samples[0]["IO"] == dataset.samples[1]["S"]
    assert dataset[0]["prompt_length"] == len(dataset[0]["prompt"])
    found = evals.ioi_eval(shakespeare, dataset, batch_size=4)
    differences = []
    for item in dataset:
        io, s = item["IO"], item["S"]
        shared = next(at for at, (a, b) in enumerate(zip(io, s)) if a != b)
        logits = np.asarray(shakespeare(np.array([item["prompt"]])))[0, len(item["prompt"]) - len(io) + shared - 1]
        differences.append(logits[io[shared]] - logits[s[shared]])
    assert abs(found["Logit Difference"] - np.mean(differences)) < 1e-4 and found["Accuracy"] == np.mean(np.array(differences) > 0)


def test_mistakes_with_heads_and_lenses_are_named(tiny, tokens, induction):
    for call, error, match in [
            (lambda: heads.score_heads(tiny, np.array([[1, 1, 2]])), errors.InvalidArgumentError, "do not repeat"),
            (lambda: heads.score_heads(tiny, np.array([[1, 2, 3]]), repeats=1), errors.InvalidArgumentError, "at least twice"),
            (lambda: heads.weighted_attention(tiny, tokens, by="norm"), errors.NotFoundError, "by 'norm'"),
            (lambda: heads.weighted_attention(tiny, tokens, layers=[5]), errors.OutOfRangeError, "5"),
            (lambda: train_tuned_lens(tiny, tokens, steps=0), errors.InvalidArgumentError, "0 steps"),
            (lambda: train_tuned_lens(tiny, tokens, learning_rate=-1), errors.InvalidArgumentError, "learning rate"),
            (lambda: logit_lens(tiny, tokens, tuned_lens=TunedLens({"0.weight": np.zeros((16, 16), np.float32)})), errors.DataLossError,
             "0.bias"),
            (lambda: evals.ioi_eval(tiny), errors.FailedPreconditionError, "tokenizer"),
            (lambda: evals.IOIDataset(object(), templates=["[A] and [B]"]), errors.InvalidArgumentError, r"end in \[A\]")]:
        with pytest.raises(error, match=match):
            call()
