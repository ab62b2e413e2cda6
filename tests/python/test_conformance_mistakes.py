"""Mistakes that people make with TransformerLens: each gets an answer that names the thing, through every door."""

import json
import warnings

import numpy as np
import pytest

from conftest import shared
from interopinterp import FactoredMatrix, HookedTransformerConfig, errors, metrics, ops, patching
from interopinterp.head_detector import detect_head

NOTHING = ops.scale(1.0)
LONG = "ay, petruchio. " * 8
# The mistake in the words of the shared fixtures/analysis/errors.json: (what is done, error, what its message says).
MISTAKES = {
    "run_with_hooks with an unknown hook name": (
        lambda m, x: m.run_with_hooks(x, fwd_hooks=[("blocks.0.attn.hook_zz", NOTHING)]), KeyError,
        "'blocks.0.attn.hook_zz'. Did you mean 'blocks.0.attn.hook_z'"),
    "add_hook with an unknown name": (
        lambda m, x: m.add_hook("blocks.9.hook_resid_pre", NOTHING), KeyError, "Did you mean 'blocks.0.hook_resid_pre'"),
    "add_hook with a filter that matches nothing": (lambda m, x: m.add_hook(lambda n: False, NOTHING), errors.NotFoundError,
                                                    "true of none of the"),
    "names_filter with an unknown name": (
        lambda m, x: m.run_with_cache(x, names_filter="blocks.0.nope"), errors.NotFoundError, "Unknown hook point 'blocks.0.nope'"),
    "cache lookup of an unknown name": (lambda m, x: m.run_with_cache(x)[1]["blocks.0.nope"], KeyError,
                                        "Unknown hook point 'blocks.0.nope'"),
    "cache lookup of a layer that does not exist": (lambda m, x: m.run_with_cache(x)[1]["resid_pre", 99], IndexError, "has 2 layers"),
    "hook returns a wrong shape (drops a position)": (
        lambda m, x: hooked(m, x, lambda v, hook: v[:, :-1]), ValueError,
        r"'blocks.1.hook_resid_pre' returned \[1, 14, 64\]; the activation is \[1, 15, 64\]"),
    "hook returns a wrong shape that broadcasts": (lambda m, x: hooked(m, x, lambda v, hook: v[:, :1]), ValueError,
                                                   r"Nothing is broadcast"),
    "hook returns a wrong d_model": (lambda m, x: hooked(m, x, lambda v, hook: v[..., :7]), ValueError, r"returned \[1, 15, 7\]"),
    "hook without the hook= argument": (lambda m, x: hooked(m, x, lambda v: v), ValueError, r"Write def fn\(activation, hook\)"),
    "hook returns a non-tensor": (lambda m, x: hooked(m, x, lambda v, hook: 3.0), ValueError, "returned a float"),
    "token id out of range": (lambda m, x: m(np.array([[1, 5000]])), IndexError, "token id 5000 is out of range; the vocabulary has 49"),
    "negative token id": (lambda m, x: m(np.array([[1, -3]])), IndexError, "token id -3 is out of range"),
    "sequence longer than n_ctx (tokens)": (lambda m, x: m(np.ones((1, 53), int)), IndexError, "53 tokens; the model's n_ctx is 49"),
    "sequence longer than n_ctx (string)": (lambda m, x: m(LONG), errors.InterpWarning, "is cut to the model's context of 49"),
    "float tokens": (lambda m, x: m(np.array([[1.0, 2.0]])), ValueError, "token ids are integers"),
    "empty tokens": (lambda m, x: m(np.zeros((1, 0), int)), ValueError, "Row 0 has no tokens"),
    "string to a model without tokenizer": (lambda m, x: bare(m)("hello"), RuntimeError, "needs a tokenizer"),
    "hook_result without use_attn_result": (
        lambda m, x: m.run_with_hooks(x, fwd_hooks=[("blocks.0.attn.hook_result", NOTHING)]), RuntimeError, r"set_use_attn_result\(True\)"),
    "add_hook on hook_result without use_attn_result": (lambda m, x: m.add_hook("blocks.0.attn.hook_result", NOTHING), RuntimeError,
                                                        "use_attn_result is off"),
    "caching hook_result without use_attn_result": (
        lambda m, x: m.run_with_cache(x)[1]["blocks.0.attn.hook_result"], KeyError, "was not kept.*its flag was off"),
    "hook_q_input without use_split_qkv_input": (
        lambda m, x: m.run_with_hooks(x, fwd_hooks=[("blocks.0.hook_q_input", NOTHING)]), RuntimeError, r"set_use_split_qkv_input\(True\)"),
    "layer index out of range in stop_at_layer": (lambda m, x: m(x, stop_at_layer=99), IndexError,
                                                  "stop_at_layer is 99; the model has 2 layers"),
    "decompose_resid(layer=99)": (lambda m, x: m.run_with_cache(x)[1].decompose_resid(99), IndexError,
                                  "layer is 99; the model has 2 layers"),
    "to_single_token of two tokens": (lambda m, x: m.to_single_token("two tokens here"), ValueError, "is not a single token but"),
    "get_token_position of an absent token": (lambda m, x: m.get_token_position("z", "ab"), LookupError,
                                              "does not occur in the 3 tokens"),
    "from_pretrained of an unknown model": (lambda m, x: type(m).from_pretrained("not-a-model"), LookupError, "not-a-model"),
    "move to a missing device": (lambda m, x: m.to("cuda:7"), errors.InterpError, "cuda"),
    "patching with prompts of different length": (
        lambda m, x: patching.get_act_patch_resid_pre(m, x[:, :-1], m.run_with_cache(x)[1], metrics.log_prob(1)), ValueError,
        r"\[1, 15, 64\].*\[1, 14, 64\]"),
    "patching metric returns a vector": (
        lambda m, x: patching.get_act_patch_attn_head_out_all_pos(m, x, m.run_with_cache(x)[1], lambda logits: logits[0, -1]), ValueError,
        r"returned an array of shape \[49\]; one number is expected"),
    "clean_cache is missing the activation": (
        lambda m, x: patching.get_act_patch_resid_pre(m, x, m.run_with_cache(x, names_filter="hook_embed")[1], metrics.log_prob(1)),
        KeyError, "blocks.0.hook_resid_pre"),
    "logit_attrs with a string of two tokens": (
        lambda m, x: (c := m.run_with_cache(x)[1]).logit_attrs(c.decompose_resid(), "two tokens here"), ValueError,
        "is not a single token"),
    "loss on a one-token sequence": (lambda m, x: m(x[:, :1], return_type="loss"), ValueError, "there is no next one to predict"),
    "FactoredMatrix inner dims differ": (lambda m, x: FactoredMatrix(np.zeros((3, 4)), np.zeros((5, 6))), ValueError,
                                         r"A is \[3, 4\] and B \[5, 6\]"),
    "detect_head with an unknown name": (lambda m, x: detect_head(m, "ab", "nope_head"), KeyError, "kind of head 'nope_head'"),
    "return_type unknown": (lambda m, x: m(x, return_type="nope"), KeyError, "Unknown return_type 'nope'"),
    "generate with max_new_tokens past n_ctx": (
        lambda m, x: m.generate(x, max_new_tokens=40, do_sample=False, stop_at_eos=False), IndexError,
        "together they pass the model's n_ctx of 49"),
    "config without act_fn": (
        lambda m, x: type(m)(HookedTransformerConfig(n_layers=1, d_model=8, n_ctx=4, d_head=4, d_vocab=5)), ValueError,
        "act_fn must be set unless attn_only"),
    "config with d_model not divisible by d_head": (
        lambda m, x: HookedTransformerConfig(n_layers=1, d_model=10, n_ctx=4, d_head=4, d_vocab=5, act_fn="relu"), ValueError,
        "must be divisible"),
    "load_state_dict with a wrong shape": (
        lambda m, x: bare(m).load_state_dict({"embed.W_E": np.zeros((3, 3), np.float32)}, strict=False), ValueError,
        r"embed.W_E.*\[3, 3\]"),
}
# Those that cannot be made here, and why.
ELSEWHERE = {
    "tokens on another device (meta)": "only torch has such a device: test_dropin_transformerlens.py makes it",
    "detect_head on a sequence of exactly n_ctx tokens": "it is no mistake here, as the test below shows"}
NEEDS_FUNCTIONS = {name for name in MISTAKES if name.startswith("hook ")}


def hooked(model, tokens, hook):
    return model.run_with_hooks(tokens, fwd_hooks=[("blocks.1.hook_resid_pre", hook)])


def bare(model):
    return type(model)(dict(n_layers=1, d_model=8, n_ctx=4, d_head=4, d_vocab=5, act_fn="relu", seed=0))


@pytest.fixture
def x(induction):
    return induction.to_tokens("m7xq2kzb, m7xq")


def test_every_mistake_of_the_list_is_here():
    listed = {entry["mistake"] for entry in json.loads(shared("fixtures", "analysis", "errors.json").read_text())}
    assert listed == set(MISTAKES) | set(ELSEWHERE)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_get_an_answer(engine, induction, x, mistake):
    act, kind, says = MISTAKES[mistake]
    if mistake in NEEDS_FUNCTIONS and not engine.transport.has_callbacks:
        pytest.skip("functions as hooks run in process only")
    before = np.asarray(induction(x)).copy()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", errors.InterpWarning)
            with pytest.raises(kind, match=says) as caught:
                act(induction, x)
    finally:
        induction.reset_hooks()
    if kind is not errors.InterpWarning:
        assert isinstance(caught.value, errors.InterpError) and caught.value.reason.isupper() and caught.value.message
    assert np.array_equal(np.asarray(induction(x)), before), "the model is as it was"


def test_a_text_of_exactly_n_ctx_tokens_is_no_mistake(induction):
    text = LONG[:48]
    assert induction.to_tokens(text).shape == (1, 49)
    assert detect_head(induction, text, "previous_token_head").shape == (2, 4)


def test_arguments_that_nobody_reads_are_refused(engine, induction, x):
    with pytest.raises(errors.NotFoundError, match="'name_filter'. Did you mean"):
        induction.run_with_cache(x, name_filter="hook_embed")
    with pytest.raises(errors.NotFoundError, match="'temprature'"):
        induction.generate(x, temprature=0.5)
    with pytest.raises(errors.NotFoundError, match="'fold_lnn'. Did you mean 'fold_ln'"):
        engine.HookedTransformer.from_pretrained("induction", fold_lnn=False)
    with pytest.raises(errors.UnimplementedError, match="refactor_factored_attn_matrices"):
        engine.HookedTransformer.from_pretrained("induction", refactor_factored_attn_matrices=True)
    with pytest.raises(errors.NotFoundError, match="part of ops.zero 'head'. Did you mean 'heads'"):
        ops.zero(head=1)
    with pytest.raises(errors.InvalidArgumentError, match="has no heads"):
        induction.run_with_hooks(x, fwd_hooks=[("blocks.1.hook_resid_pre", ops.zero(heads=1))])
    with pytest.raises(errors.OutOfRangeError, match="head 4 is out of range: there are 4"):
        induction.run_with_hooks(x, fwd_hooks=[("blocks.1.attn.hook_z", ops.zero(heads=4))])
    with pytest.raises(errors.FailedPreconditionError, match="the run stops at layer 1"):
        induction.run_with_cache(x, stop_at_layer=1, names_filter="blocks.1.hook_resid_pre")
