"""What caches can do and say, through every door."""

import ast

import numpy as np
import pytest

from conftest import close, golden
from interopinterp import ActivationCache, errors

CLOSE = 1e-4


@pytest.fixture
def cache(shakespeare, clean_tokens):
    return shakespeare.run_with_cache(clean_tokens)[1]


def arguments(key):
    """{name: value} of a golden's key: accumulated_resid(apply_ln=True, layer=2)."""
    call = ast.parse(key, mode="eval").body
    return call.func.id, {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords
                          if not isinstance(keyword.value, ast.Name)}


@pytest.mark.parametrize("method", ["decompose_resid", "accumulated_resid", "stack_head_results", "get_full_resid_decomposition"])
def test_parts_of_the_stream_are_those_of_transformerlens(cache, method):
    tensors, _ = golden("cache")
    labels = labels_of("cache")
    keys = [key for key in tensors if key.startswith(f"{method}(") and "project" not in key]
    assert keys
    for key in keys:
        _, options = arguments(key)
        found, names = getattr(cache, method)(return_labels=True, **options)
        assert close(found, tensors[key]), key
        assert key not in labels or names == labels[key], key


def labels_of(section):
    import json

    from conftest import shared

    told = json.loads(shared("fixtures", "analysis", f"{section}.json").read_text())["tensors"]
    return {key: entry["labels"] for key, entry in told.items() if "labels" in entry}


def test_attributions_are_those_of_transformerlens(shakespeare, cache, clean_tokens):
    tensors, values = golden("cache")
    answer, wrong = values["answer_tokens"]["answer"], values["answer_tokens"]["wrong"]
    prompts = golden("tokens")[1]["prompts"]
    stack = cache.decompose_resid()
    for key, found in {
            "logit_attrs(answer)": cache.logit_attrs(stack, prompts["answer"]),
            "logit_attrs(answer, wrong)": cache.logit_attrs(stack, prompts["answer"], prompts["wrong"]),
            "logit_attrs(int, int)": cache.logit_attrs(stack, answer, wrong),
            "logit_attrs(tensor, tensor)": cache.logit_attrs(stack, np.array([answer]), np.array([wrong])),
            "logit_attrs(pos_slice=-1)": cache.logit_attrs(cache.decompose_resid(pos_slice=-1), answer, wrong, pos_slice=-1),
            "logit_attrs(tensor of every position)": cache.logit_attrs(stack, clean_tokens, clean_tokens[:, ::-1]),
            "logit_lens_last": shakespeare.unembed(cache.accumulated_resid(apply_ln=True, pos_slice=-1)),
            "apply_ln_to_stack(final)": cache.apply_ln_to_stack(stack),
            "apply_ln_to_stack(layer=1)": cache.apply_ln_to_stack(cache.decompose_resid(1), layer=1),
            "apply_ln_to_stack(layer=1, mlp_input)": cache.apply_ln_to_stack(cache.decompose_resid(1, mlp_input=True), layer=1,
                                                                             mlp_input=True),
            "apply_ln_to_stack(pos_slice)": cache.apply_ln_to_stack(cache.decompose_resid(pos_slice=-1), pos_slice=-1),
            "apply_ln_to_stack(recompute_ln)": cache.apply_ln_to_stack(cache.accumulated_resid(), recompute_ln=True)}.items():
        assert close(found, tensors[key]), key
    with pytest.raises(errors.InvalidArgumentError, match="slice the stack too"):
        cache.logit_attrs(stack, answer, pos_slice=-1)
    bare = shakespeare.run_with_cache(clean_tokens, remove_batch_dim=True)[1]
    found = bare.logit_attrs(bare.decompose_resid(), answer, wrong, has_batch_dim=False)
    assert np.abs(found - tensors["logit_attrs(has_batch_dim=False)"]).max() < CLOSE


def test_heads_and_neurons_are_those_of_transformerlens(cache):
    tensors, _ = golden("cache")
    labels, direction = labels_of("cache"), tensors["direction"]
    cache.compute_head_results()
    for key, found in {
            "compute_head_results/blocks.1.attn.hook_result": cache["result", 1],
            "stack_activation(pattern)": cache.stack_activation("pattern"),
            "stack_activation(z, layer=2)": cache.stack_activation("z", layer=2),
            "stack_activation(scale, ln1)": cache.stack_activation("scale", sublayer_type="ln1"),
            "get_neuron_results(1, slice(0,6))": cache.get_neuron_results(1, neuron_slice=(0, 6)),
            "get_neuron_results(1, [3, 9], pos_slice=-1)": cache.get_neuron_results(1, neuron_slice=[3, 9], pos_slice=-1),
            "get_neuron_results(projected)": cache.get_neuron_results(1, pos_slice=-1, project_output_onto=direction),
            "stack_neuron_results(2, neuron_slice=(0,4))": cache.stack_neuron_results(2, neuron_slice=(0, 4), return_labels=True),
            "stack_neuron_results(2, incl_remainder)": cache.stack_neuron_results(
                2, neuron_slice=(0, 4), pos_slice=-1, return_labels=True, incl_remainder=True),
            "stack_neuron_results(-1, projected)": cache.stack_neuron_results(-1, pos_slice=-1, project_output_onto=direction),
            "stack_neuron_results(-1, projected, apply_ln)": cache.stack_neuron_results(
                -1, pos_slice=-1, apply_ln=True, project_output_onto=direction),
            "stack_neuron_results(1, apply_ln)": cache.stack_neuron_results(1, neuron_slice=(0, 4), pos_slice=-1, apply_ln=True,
                                                                            return_labels=True),
    }.items():
        found, names = found if isinstance(found, tuple) else (found, None)
        assert close(found, tensors[key]), key
        assert names is None or names == labels[key], key


def test_everything_sums_to_the_stream(cache):
    stream = np.asarray(cache["resid_post", -1])
    assert np.abs(cache.decompose_resid().sum(0) - stream).max() < 1e-5
    whole = cache.get_full_resid_decomposition()
    assert np.abs(whole.sum(0) - stream).max() < CLOSE
    direction = np.random.default_rng(0).standard_normal(128).astype(np.float32)
    projected = cache.get_full_resid_decomposition(apply_ln=True, project_output_onto=direction, pos_slice=-1)
    expected = cache.apply_ln_to_stack(whole[..., -1, :], pos_slice=-1) @ direction
    assert np.abs(projected - expected).max() < 1e-3


def test_caches_are_saved_and_read_back(shakespeare, cache, tmp_path):
    cache.save(tmp_path / "cache.safetensors")
    back = ActivationCache.load(tmp_path / "cache.safetensors", shakespeare)
    assert list(back) == list(cache) and back.has_batch_dim
    assert all(np.array_equal(back[name], np.asarray(cache[name])) for name in cache)
    assert np.array_equal(back["resid_post", -1], np.asarray(cache["resid_post", -1]))
    assert f"{len(cache)} activations" in cache._repr_html_() and len(back) == len(cache)
    assert "blocks.0.attn.hook_q" in cache._repr_html_() and repr(cache).startswith("ActivationCache with keys")


def test_batches_are_sliced_and_squeezed(tiny, tokens):
    cache = tiny.run_with_cache(tokens)[1]
    second = cache.apply_slice_to_batch_dim(1)
    assert np.array_equal(second["q", 0], np.asarray(cache["q", 0])[1]) and not second.has_batch_dim
    assert cache.apply_slice_to_batch_dim((0, 1))["q", 0].shape[0] == 1
    with pytest.raises(errors.InvalidArgumentError, match="has 2"):
        cache.remove_batch_dim()
    one = tiny.run_with_cache(tokens[:1])[1].remove_batch_dim()
    assert one["q", 0].shape == (7, 2, 8)
    assert len(list(one.items())) == len(one) == len(list(one.values()))


def test_values_over_grpc_stay_there_until_they_are_looked_at(shakespeare, clean_tokens, over_grpc):
    cache = shakespeare.run_with_cache(np.repeat(clean_tokens, 8, 0), names_filter="blocks.1.mlp.hook_post")[1]
    value = cache["post", 1]
    assert value.ref is not None and not value.is_fetched and value.ref.byte_size == 8 * 22 * 512 * 4
    part = value[2, -1, 5:9]
    assert isinstance(part, np.ndarray) and part.shape == (4,) and not value.is_fetched
    assert np.array_equal(part, value.numpy()[2, -1, 5:9]) and value.is_fetched


def test_values_in_process_are_the_engines_memory(shakespeare, clean_tokens, in_process):
    value = shakespeare.run_with_cache(clean_tokens, names_filter="hook_embed")[1]["hook_embed"]
    assert type(value) is np.ndarray and not value.flags.owndata
