"""Continuing texts, through every door."""

import numpy as np
import pytest

from conftest import golden
from interopinterp import errors, ops


def test_greedy_texts_are_those_of_transformerlens(shakespeare):
    tensors, values = golden("forward")
    tokens, prompts = tensors["tokens"], golden("tokens")[1]["prompts"]
    found = shakespeare.generate(tokens, max_new_tokens=12, do_sample=False, verbose=False)
    assert found.tolist() == values["generate_greedy"]
    assert shakespeare.generate(tokens, 12, do_sample=False, use_past_kv_cache=False, verbose=False).tolist() == values["generate_greedy"]
    found = shakespeare.generate(tokens, max_new_tokens=12, do_sample=True, top_k=1, freq_penalty=0.5, verbose=False)
    assert found.tolist() == values["generate_topk1_freqpen"]
    assert shakespeare.generate(prompts["texts"][0], max_new_tokens=8, do_sample=False, verbose=False) == values["generate_str"]
    found = shakespeare.generate(prompts["batch"], max_new_tokens=6, do_sample=False, return_type="tokens", padding_side="left",
                                 verbose=False)
    assert found.tolist() == values["generate_batch_left"]
    texts = shakespeare.generate(prompts["batch"], max_new_tokens=6, do_sample=False, verbose=False)
    assert len(texts) == 3 and texts[0].startswith("The king")


def test_draws_repeat_with_their_seed(tiny, tokens):
    options = dict(max_new_tokens=6, stop_at_eos=False, temperature=2.0, verbose=False)
    first, again, other = (tiny.generate(tokens, seed=seed, **options) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    np.random.seed(7)
    drawn = tiny.generate(tokens, **options)
    np.random.seed(7)
    assert np.array_equal(drawn, tiny.generate(tokens, **options)) and first.shape == (2, 13)


def test_rows_end_at_stop_tokens_and_logits_are_those_chosen_from(tiny, tokens):
    greedy = tiny.generate(tokens, max_new_tokens=5, do_sample=False, stop_at_eos=False, verbose=False)
    stop = int(greedy[0, 8])
    stopped = tiny.generate(tokens[:1], max_new_tokens=5, do_sample=False, eos_token_id=stop, verbose=False)
    assert stopped.tolist() == greedy[:1, :9].tolist()
    out = tiny.generate(tokens, max_new_tokens=5, do_sample=False, stop_at_eos=False, output_logits=True, verbose=False)
    assert len(out.logits) == 5 and all(np.array_equal(np.asarray(step).argmax(-1), out.sequences[:, 7 + i]) for i,
                                        step in enumerate(out.logits))
    with pytest.raises(errors.FailedPreconditionError, match="pass eos_token_id"):
        tiny.generate(tokens, verbose=False)


def test_hooks_run_at_every_step(tiny, tokens):
    options = dict(max_new_tokens=5, do_sample=False, stop_at_eos=False, verbose=False)
    plain = tiny.generate(tokens, **options)
    with tiny.hooks(fwd_hooks=[("blocks.1.hook_resid_post", ops.scale(-1.0))]):
        cached, whole = tiny.generate(tokens, **options), tiny.generate(tokens, use_past_kv_cache=False, **options)
    assert np.array_equal(cached, whole) and not np.array_equal(cached, plain)
    with tiny.hooks(fwd_hooks=[("blocks.1.hook_resid_post", ops.scale(-1.0, from_step=2))]):
        late = tiny.generate(tokens, **options)
    assert np.array_equal(late[:, :9], plain[:, :9])


def test_functions_see_every_step(tiny, tokens, in_process):
    shapes = []
    with tiny.hooks(fwd_hooks=[("blocks.0.attn.hook_z", lambda z, hook: shapes.append(tuple(z.shape)))]):
        tiny.generate(tokens, max_new_tokens=4, do_sample=False, stop_at_eos=False, verbose=False)
    assert shapes == [(2, 7, 2, 8)] + [(2, 1, 2, 8)] * 3


def test_streams_give_the_same_tokens_piece_by_piece(tiny, tokens, shakespeare):
    options = dict(max_new_tokens=7, do_sample=True, seed=3, stop_at_eos=False, verbose=False)
    whole = tiny.generate(tokens, **options)
    pieces = list(tiny.generate_stream(tokens, max_tokens_per_yield=3, **options))
    assert [piece.shape[1] for piece in pieces] == [10, 3, 1] and np.array_equal(np.concatenate(pieces, 1), whole)
    texts = list(shakespeare.generate_stream("ROMEO:\n", max_new_tokens=6, max_tokens_per_yield=2, do_sample=False, verbose=False))
    assert "".join(texts) == shakespeare.generate("ROMEO:\n", max_new_tokens=6, do_sample=False, verbose=False)
    stream = tiny.generate_stream(tokens, max_tokens_per_yield=1, max_new_tokens=6, do_sample=False, stop_at_eos=False, verbose=False)
    next(stream)
    stream.close()
    assert np.isfinite(np.asarray(tiny(tokens))).all(), "a stream that is left ends"
