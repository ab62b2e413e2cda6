"""Hooks: functions in process, ops everywhere, and when they stand."""

import functools

import numpy as np
import pytest

from conftest import close, golden
from interopinterp import errors, ops

CLOSE = 1e-4


def zero_head(z, hook):
    z[:, :, 1] = 0.0
    return z


def uniform(pattern, hook):
    return np.tril(np.ones(pattern.shape, np.float32)) / np.arange(1, pattern.shape[-1] + 1, dtype=np.float32)[:, None]


def test_functions_that_change_activations_give_transformerlenss_numbers(shakespeare, in_process):
    tensors, _ = golden("forward")
    tokens = tensors["tokens"]
    for key, name, hook in (
            ("zero_head_L1H1", "blocks.1.attn.hook_z", zero_head),
            ("resid_scaled", "blocks.2.hook_resid_pre", lambda v, hook: v * 1.5),
            ("pattern_uniform", "blocks.0.attn.hook_pattern", uniform)):
        logits = shakespeare.run_with_hooks(tokens, fwd_hooks=[(name, hook)])
        assert np.abs(logits[:, -1] - tensors[f"run_with_hooks/{key}"]).max() < CLOSE, key
    shakespeare.set_use_split_qkv_input(True)
    shakespeare.set_use_hook_mlp_in(True)

    def zero(v, hook, heads=slice(None)):
        v[:, :, heads] = 0

    for key, name, heads in (("split_qkv/q_input_zeroed_L1H2", "blocks.1.hook_q_input", 2),
                             ("mlp_in_zeroed_1", "blocks.1.hook_mlp_in", slice(None))):
        logits = shakespeare.run_with_hooks(tokens, fwd_hooks=[(name, functools.partial(zero, heads=heads))])
        assert np.abs(logits[:, -1] - tensors[key]).max() < CLOSE, key
    shakespeare.set_use_split_qkv_input(False)
    shakespeare.set_use_hook_mlp_in(False)


def test_ops_give_the_numbers_of_the_functions_they_stand_for(shakespeare):
    tensors, _ = golden("forward")
    tokens = tensors["tokens"]
    for key, name, op in (("zero_head_L1H1", "blocks.1.attn.hook_z", ops.zero(heads=1)),
                          ("resid_scaled", "blocks.2.hook_resid_pre", ops.scale(1.5)),
                          ("pattern_uniform", "blocks.0.attn.hook_pattern",
                           ops.set(uniform(np.ones((1, 4, 22, 22)), None).swapaxes(1, 2)))):
        logits = shakespeare.run_with_hooks(tokens, fwd_hooks=[(name, op)])
        assert np.abs(logits[:, -1] - tensors[f"run_with_hooks/{key}"]).max() < CLOSE, key


@pytest.mark.parametrize("op, function", [
    (ops.zero(pos=-1), lambda x: x.__setitem__((slice(None), -1), 0)),
    (ops.zero(rows=1, pos=(1, 3), last=[0, 5]), lambda x: x.__setitem__(np.ix_([1], [1, 2], [0, 5]), 0)),
    (ops.scale(-2.0, pos=[0, 2]), lambda x: x.__setitem__((slice(None), [0, 2]), x[:, [0, 2]] * -2)),
    (ops.add(np.arange(16), 0.5), lambda x: x.__iadd__(0.5 * np.arange(16, dtype=np.float32))),
    (ops.set(3.0, last=slice(4, 8)), lambda x: x.__setitem__((..., slice(4, 8)), 3)),
    (ops.project(np.eye(16)[:2]), lambda x: x.__setitem__((..., slice(0, 2)), 0)),
    (ops.project(np.eye(16)[3], keep=True), lambda x: x.__setitem__((..., [i for i in range(16) if i != 3]), 0)),
], ids=str)
def test_ops_and_functions_agree(tiny, in_process, tokens, op, function):
    name = "blocks.1.hook_resid_pre"

    def hook(x, hook):
        function(x)

    expected = tiny.run_with_hooks(tokens, fwd_hooks=[(name, hook)])
    found = tiny.run_with_hooks(tokens, fwd_hooks=[(name, op)])
    assert np.abs(expected - tiny(tokens)).max() > 1e-3 and np.abs(expected - found).max() < 1e-5


def test_ops_take_values_from_other_runs(tiny, tokens, other_tokens):
    clean = tiny.run_with_cache(other_tokens)[1]
    name = "blocks.0.attn.hook_z"
    value = np.asarray(clean[name])
    for ours, same in (
            (ops.patch(other_tokens, pos=2, heads=1), ops.set(value[:, 2:3, 1:2], pos=2, heads=1)),
            (ops.patch(clean, pos=2, heads=1), ops.set(value[:, 2:3, 1:2], pos=2, heads=1)),
            (ops.patch(other_tokens, source_pos=3, pos=2), ops.set(value[:, 3:4], pos=2)),
            (ops.mean(other_tokens), ops.set(value.mean(0, keepdims=True))),
            (ops.mean(other_tokens, over_positions=True, heads=0), ops.set(value.mean((0, 1), keepdims=True)[:, :, :1], heads=0))):
        found, expected = (tiny.run_with_hooks(tokens, fwd_hooks=[(name, op)]) for op in (ours, same))
        assert np.abs(found - expected).max() < 1e-5, ours
    whole = tiny.run_with_hooks(tokens, fwd_hooks=[("blocks.0.hook_resid_post", ops.patch(clean))])
    assert np.abs(whole - tiny(other_tokens)).max() < 1e-5
    patterns = tiny.run_with_hooks(tokens, fwd_hooks=[("blocks.1.attn.hook_pattern", ops.patch(clean, heads=1, pos=4))])
    both = tiny.run_with_hooks(tokens, fwd_hooks=[("blocks.1.attn.hook_pattern", ops.patch(other_tokens, heads=1, pos=4))])
    assert np.abs(patterns - both).max() < 1e-6 and np.abs(patterns - tiny(tokens)).max() > 1e-6


def test_functions_over_grpc_are_refused_naming_the_ops(tiny, tokens, over_grpc):
    with pytest.raises(errors.FailedPreconditionError, match=r"interopinterp.ops has zero, mean, set, patch"):
        tiny.run_with_hooks(tokens, fwd_hooks=[("blocks.0.hook_resid_post", lambda x, hook: x)])


def test_hooks_see_their_point_and_keep_what_they_like(tiny, in_process, tokens):
    seen = []

    def look(value, hook):
        hook.ctx["kept"] = value
        seen.append((hook.name, hook.layer(), tuple(value.shape)))

    logits = tiny.run_with_hooks(tokens, fwd_hooks=[(lambda name: name.endswith("hook_resid_mid"), look)])
    assert seen == [(f"blocks.{layer}.hook_resid_mid", layer, (2, 7, 16)) for layer in range(2)]
    cache = tiny.run_with_cache(tokens)[1]
    assert close(tiny.hook_dict["blocks.1.hook_resid_mid"].ctx["kept"], cache["resid_mid", 1], 1e-5), "what a hook keeps stays as it was"
    assert close(logits, tiny(tokens), 1e-5) and tiny.blocks[0].hook_resid_mid.ctx
    tiny.reset_hooks()
    assert tiny.blocks[0].hook_resid_mid.ctx == {}


def test_hooks_run_in_order_functions_and_ops_alike(tiny, in_process, tokens):
    name, order = "blocks.0.hook_resid_post", []

    def note(tag):
        def hook(value, hook):
            order.append((tag, float(value[0, 0, 0])))
        return hook

    start = float(tiny.run_with_cache(tokens)[1][name][0, 0, 0])
    tiny.add_hook(name, note("second"))
    tiny.add_hook(name, ops.scale(3.0))
    tiny.add_hook(name, note("last"))
    tiny.add_hook(name, note("first"), prepend=True)
    cache = tiny.run_with_cache(tokens, names_filter=name)[1]
    assert [tag for tag, _ in order] == ["first", "second", "last"]
    assert [value for _, value in order] == pytest.approx([start, start, 3 * start], abs=1e-5)
    assert float(cache[name][0, 0, 0]) == pytest.approx(3 * start, abs=1e-5), "captures come after hooks"
    tiny.reset_hooks()


def test_contexts_nest_and_permanent_hooks_stay(tiny, tokens):
    name, plain = "blocks.0.hook_resid_post", np.asarray(tiny(tokens))

    def changed():
        return not np.array_equal(np.asarray(tiny(tokens)), plain)

    def count():
        return len(tiny.hook_dict[name].fwd_hooks)

    tiny.add_perma_hook(name, ops.scale(1.0))
    tiny.add_hook(name, ops.scale(1.0))
    with tiny.hooks(fwd_hooks=[(name, ops.zero())]):
        assert count() == 3 and changed()
        with pytest.raises(ZeroDivisionError):
            with tiny.hooks(fwd_hooks=[(name, ops.scale(2.0)), (lambda n: n == name, ops.scale(2.0))]):
                assert count() == 5 and tiny.context_level == 2
                1 / 0
        assert count() == 3 and tiny.context_level == 1
    assert count() == 2 and not changed()
    assert list(tiny.list_hooks()) == [name] and tiny.list_hooks(including_permanent=False)[name][0].user_hook.name == "scale"
    tiny.reset_hooks()
    assert count() == 1 and tiny.hook_dict[name].has_hooks() and not tiny.hook_dict[name].has_hooks(including_permanent=False)
    tiny.reset_hooks(including_permanent=True)
    assert count() == 0
    with tiny.hooks(fwd_hooks=[(name, ops.zero())], reset_hooks_end=False):
        pass
    assert count() == 1 and changed()
    tiny.hook_dict[name].fwd_hooks[0].hook.remove()
    assert not changed()


def test_caching_hooks_fill_a_dict_beside_others(tiny, in_process, tokens):
    cache, fwd, bwd = tiny.get_caching_hooks(lambda name: "resid" in name)
    tiny.run_with_hooks(tokens, fwd_hooks=[("blocks.0.hook_resid_pre", ops.scale(2.0)), *fwd])
    expected = tiny.run_with_cache(tokens)[1]
    assert bwd == [] and close(cache["blocks.0.hook_resid_pre"], 2 * np.asarray(expected["resid_pre", 0]), 1e-5)
    filled = tiny.add_caching_hooks("blocks.1.attn.hook_q")
    tiny(tokens)
    assert close(filled["blocks.1.attn.hook_q"], expected["q", 1], 1e-5)
    tiny.reset_hooks()


def test_hooks_may_call_the_model_again(tiny, in_process, tokens, other_tokens):
    depth = []

    def from_elsewhere(value, hook):
        if depth:  # the run inside has this hook too
            return None
        depth.append(1)
        return tiny.run_with_cache(other_tokens, names_filter=hook.name)[1][hook.name]

    logits = tiny.run_with_hooks(tokens, fwd_hooks=[("blocks.0.hook_resid_post", from_elsewhere)])
    assert close(logits, tiny(other_tokens), 1e-5) and depth


def test_what_a_hook_raises_comes_out_as_itself_and_leaves_the_model_usable(tiny, in_process, tokens):
    class Mine(Exception):
        pass

    def fail(value, hook):
        raise Mine("in the middle")

    with pytest.raises(Mine, match="in the middle"):
        tiny.run_with_hooks(tokens, fwd_hooks=[("blocks.1.attn.hook_pattern", fail)])
    assert np.isfinite(np.asarray(tiny(tokens))).all() and not tiny.list_hooks()
