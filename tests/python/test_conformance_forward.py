"""Logits, losses, residual streams and caches, through every door."""

import numpy as np
import pytest

from conftest import close, golden
from interopinterp import errors
from interopinterp.cache import TransformerLensKeyValueCache

CLOSE = 1e-4


def test_logits_and_losses_are_those_of_transformerlens(shakespeare):
    tensors, values = golden("forward")
    tokens = tensors["tokens"]
    logits, loss = shakespeare(tokens, return_type="both")
    assert np.abs(logits - tensors["logits"]).max() < CLOSE and abs(float(loss) - values["loss"]) < 1e-5
    assert np.abs(shakespeare(tokens[0]) - tensors["logits"]).max() < CLOSE, "one row without a batch axis"
    assert np.abs(shakespeare(tokens, return_type="loss", loss_per_token=True) - tensors["loss_per_token"]).max() < CLOSE
    assert np.abs(shakespeare.loss_fn(logits, tokens) - values["loss"]) < 1e-5
    assert shakespeare(tokens, return_type=None) is None
    prompts = golden("tokens")[1]["prompts"]
    assert np.abs(shakespeare(prompts["clean"]) - tensors["logits"]).max() < CLOSE, "text is tokens"


def test_weights_as_they_are_give_hugging_faces_numbers(engine, model_folder):
    tensors, _ = golden("forward")
    raw = engine.HookedTransformer.from_pretrained_no_processing(model_folder)
    assert np.abs(raw(tensors["tokens"])[:, -1] - tensors["raw_logits_last"]).max() < CLOSE
    assert raw.cfg.normalization_type == "LN"


def test_caches_are_those_of_transformerlens(shakespeare):
    tensors, values = golden("forward")
    logits, cache = shakespeare.run_with_cache(tensors["tokens"])
    assert list(cache) == values["cache_keys"]
    for key, expected in tensors.items():
        if key.startswith("cache/"):
            found = np.asarray(cache[key[6:]])
            found = np.where(np.isneginf(found), -1e30, found)
            assert np.abs(found - expected).max() < CLOSE, key
    for key, name in values.items():
        if key.startswith("cache_key/"):
            assert cache.name(eval(key[10:])) == name  # noqa: S307
            assert eval(key[10:]) in cache  # noqa: S307
    assert cache["embed"] is cache["hook_embed"] and "nope" not in cache


def test_runs_start_and_stop_at_layers(shakespeare):
    tensors, _ = golden("forward")
    tokens = tensors["tokens"]
    residual = shakespeare(tokens, stop_at_layer=2)
    assert np.abs(residual - tensors["stop_at_layer_2"]).max() < CLOSE
    assert np.abs(shakespeare(tokens, stop_at_layer=-1) - tensors["stop_at_layer_-1"]).max() < CLOSE
    assert np.abs(shakespeare(residual, start_at_layer=2)[:, -1] - tensors["start_at_layer_2_from_stop"]).max() < CLOSE
    zeros = np.zeros((1, 3, shakespeare.cfg.d_model), np.float32)
    assert np.abs(shakespeare(zeros, start_at_layer=-1)[:, -1] - tensors["start_at_layer_-1_zero"]).max() < CLOSE
    losses = shakespeare(residual, start_at_layer=2, tokens=tokens, return_type="loss", loss_per_token=True)
    assert np.abs(losses - tensors["loss_start_at_layer"]).max() < CLOSE
    with pytest.raises(errors.InvalidArgumentError, match="pass tokens="):
        shakespeare(residual, start_at_layer=2, return_type="loss")
    embedded, ids, positions, mask = shakespeare.input_to_embed(tokens)
    assert np.abs(shakespeare(embedded, start_at_layer=0)[:, -1] - tensors["logits"][:, -1]).max() < CLOSE
    assert ids.tolist() == tokens.tolist() and positions is None and mask is None


def test_padding_changes_no_number(shakespeare):
    tensors, values = golden("forward")
    texts = golden("tokens")[1]["prompts"]["batch"]
    left, mask = tensors["pad/left/tokens"], tensors["pad/left/mask"]
    for found in (shakespeare(left, padding_side="left"), shakespeare(left, attention_mask=mask)):
        log_probs = found - np.log(np.exp(found).sum(-1, keepdims=True))
        assert np.abs(log_probs[:, -1] - tensors["pad/left/log_probs_last"]).max() < CLOSE
    expected = values["pad/left/loss_with_mask"]
    right = tensors["pad/right/tokens"]
    with pytest.warns(errors.InterpWarning, match="2 of 3 rows end in the padding token"):
        assert abs(float(shakespeare(right,
                                     return_type="loss")) - values["pad/right/loss"]) < 1e-5, "unmasked ids count, as in TransformerLens"
    for loss in (shakespeare(left, padding_side="left", return_type="loss"),
                 shakespeare(right, attention_mask=tensors["pad/right/mask"], return_type="loss"),
                 shakespeare(texts, return_type="loss"), shakespeare(texts, padding_side="left", return_type="loss")):
        assert abs(float(loss) - expected) < 1e-5
    assert np.abs(shakespeare(right)[:, 2] - tensors["pad/right/logits_pos2"]).max() < CLOSE
    own = tensors["own_mask"]
    logits, cache = shakespeare.run_with_cache(
        tensors["tokens"], attention_mask=own, names_filter=["blocks.0.attn.hook_pattern", "hook_pos_embed"])
    assert np.abs(logits[:, -1] - tensors["own_mask/logits_last"]).max() < CLOSE
    assert np.abs(cache["pattern", 0] - tensors["own_mask/pattern0"]).max() < CLOSE
    assert np.abs(cache["hook_pos_embed"] - tensors["own_mask/pos_embed"])[own.astype(bool)].max() < CLOSE


def test_filters_slices_and_batches_of_caches(shakespeare):
    tensors, values = golden("forward")
    tokens = tensors["tokens"]

    def keys(names):
        return list(shakespeare.run_with_cache(tokens, names_filter=names)[1])

    assert keys("blocks.0.hook_resid_post") == values["names_filter/str"]
    assert keys(lambda name: name.endswith("hook_z")) == values["names_filter/callable"] == keys("blocks.*.attn.hook_z")
    assert keys(["hook_embed", "blocks.1.attn.hook_q"]) == ["hook_embed", "blocks.1.attn.hook_q"]
    assert list(shakespeare.run_with_cache(tokens, stop_at_layer=1)[1]) == values["stop_at_layer/keys"]
    for key, shapes in values.items():
        if key.startswith("pos_slice/") and key.endswith("/shapes"):
            part = eval(key.split("/")[1])  # noqa: S307
            cache = shakespeare.run_with_cache(tokens, pos_slice=part)[1]
            assert {name: list(cache[name].shape) for name in shapes} == shapes, key
    for part, name in (("-1", "blocks.1.attn.hook_pattern"), ("(1, 4)", "blocks.1.hook_resid_post"), ("-1", "blocks.1.hook_resid_post")):
        cache = shakespeare.run_with_cache(tokens, pos_slice=eval(part))[1]  # noqa: S307
        assert np.abs(cache[name] - tensors[f"pos_slice/{part}/{name}"]).max() < CLOSE
    cache = shakespeare.run_with_cache(tokens, remove_batch_dim=True, names_filter="blocks.0.attn.hook_pattern")[1]
    assert list(cache["pattern", 0].shape) == values["remove_batch_dim/shape"] and not cache.has_batch_dim
    as_dict = shakespeare.run_with_cache(tokens, return_cache_object=False, names_filter="hook_embed")[1]
    assert type(as_dict) is dict and list(as_dict) == ["hook_embed"]


def test_conditional_points_fire_when_they_are_switched_on(shakespeare):
    tensors, _ = golden("forward")
    tokens, before = tensors["tokens"], list(shakespeare.fireable())
    shakespeare.set_use_attn_result(True)
    result = shakespeare.run_with_cache(tokens, names_filter="blocks.1.attn.hook_result")[1]["result", 1]
    assert np.abs(result - tensors["attn_result"]).max() < CLOSE
    shakespeare.set_use_attn_result(False)
    with pytest.raises(errors.FailedPreconditionError, match="set_use_attn_result"):
        shakespeare.run_with_cache(tokens, names_filter="blocks.1.attn.hook_result")
    assert list(shakespeare.fireable()) == before and "blocks.1.attn.hook_result" in shakespeare.hook_dict
    shakespeare.cfg.use_hook_tokens = True
    assert np.asarray(shakespeare.run_with_cache(tokens, names_filter="hook_tokens")[1]["hook_tokens"]).tolist() == tokens.tolist()
    shakespeare.cfg.use_hook_tokens = False


def test_calls_with_a_past_go_on_where_others_ended(shakespeare):
    tensors, _ = golden("forward")
    tokens = tensors["tokens"]
    past = TransformerLensKeyValueCache.init_cache(shakespeare.cfg, "cpu", 1)
    first = shakespeare(tokens[:, :5], past_kv_cache=past)
    second, cache = shakespeare.run_with_cache(tokens[:, 5:], past_kv_cache=past, names_filter="blocks.0.hook_resid_post")
    assert np.abs(second[:, -1] - tensors["kv_cache/second_half_logits_last"]).max() < CLOSE
    assert first.shape[1] == 5 and second.shape[1] == tokens.shape[1] - 5 and len(past) == tokens.shape[1]
    whole = shakespeare.run_with_cache(tokens, names_filter="blocks.0.hook_resid_post")[1]
    assert np.abs(np.asarray(cache["resid_post", 0]) - whole["resid_post", 0][:, 5:]).max() < 1e-6
    past.freeze()
    again = [shakespeare(tokens[:, :2], past_kv_cache=past) for _ in range(2)]
    assert np.array_equal(*again) and len(past) == tokens.shape[1]


def test_accuracy_and_prompts_are_those_of_transformerlens(shakespeare, capsys):
    from interopinterp import utils

    tensors, values = golden("forward")
    logits, prompts = np.asarray(shakespeare(tensors["tokens"])), golden("tokens")[1]["prompts"]
    assert utils.lm_accuracy(logits, tensors["tokens"]) == pytest.approx(values["lm_accuracy"])
    assert (utils.lm_accuracy(logits, tensors["tokens"], per_token=True) == tensors["lm_accuracy_per_token"]).all()
    utils.test_prompt(prompts["clean"], prompts["answer"], shakespeare, prepend_space_to_answer=False, top_k=5)
    assert capsys.readouterr().out.split() == values["test_prompt_stdout"].split()


def test_a_random_model_gives_the_same_numbers_through_every_door(tiny, tokens, in_process_logits):
    assert np.array_equal(np.asarray(tiny(tokens)), in_process_logits)


def test_runs_without_the_shared_folder_hold_together(tiny, tokens):
    logits, cache = tiny.run_with_cache(tokens)
    assert logits.shape == (2, 7, tiny.cfg.d_vocab) and np.isfinite(np.asarray(logits)).all()
    middle = tiny(tokens, stop_at_layer=1)
    assert close(middle, cache["resid_pre", 1], 1e-5)
    assert np.abs(tiny(np.asarray(middle), start_at_layer=1) - logits).max() < 1e-5
    assert np.abs(np.asarray(cache["pattern", 0]).sum(-1) - 1).max() < 1e-6
    final = tiny.unembed(tiny.ln_final(cache["resid_post", -1]))
    assert final.shape == logits.shape and np.abs(final - logits).max() < 1e-5
    assert np.abs(tiny.embed(tokens) - tiny.W_E[tokens]).max() == 0
