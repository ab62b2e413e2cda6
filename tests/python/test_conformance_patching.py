"""Activation patching, through every door."""

import numpy as np
import pytest

from conftest import golden
from interopinterp import errors, metrics, patching

HELPERS = [name for name in dir(patching) if name.startswith("get_act_patch_") and "direct_path" not in name]
CLOSE = 1e-4


@pytest.fixture
def prompts(shakespeare):
    tensors, values = golden("patching")
    answer, wrong = values["metric"]["answer_id"], values["metric"]["wrong_id"]
    clean, corrupted = tensors["clean_tokens"], tensors["corrupted_tokens"]
    cache = shakespeare.run_with_cache(clean)[1]
    return tensors, clean, corrupted, cache, answer, wrong


def test_every_helper_of_transformerlens_is_there():
    assert len(HELPERS) == 18 and "get_act_patch_attn_head_pattern_dest_src_pos" in HELPERS


@pytest.mark.parametrize("helper", HELPERS)
def test_helpers_give_transformerlenss_numbers(shakespeare, prompts, helper):
    tensors, clean, corrupted, cache, answer, wrong = prompts
    if helper == "get_act_patch_attn_head_pattern_dest_src_pos":
        clean, corrupted = clean[:, :6], corrupted[:, :6]
        cache = shakespeare.run_with_cache(clean, names_filter=lambda name: "pattern" in name)[1]

    def metric(logits):
        return (logits[:, -1, answer] - logits[:, -1, wrong]).mean()

    found = getattr(patching, helper)(shakespeare, corrupted, cache, metric)
    declared = getattr(patching, helper)(shakespeare, corrupted, cache, metrics.logit_diff(answer, wrong))
    assert found.shape == tensors[helper].shape and np.abs(found - tensors[helper]).max() < CLOSE
    assert np.abs(np.asarray(found) - declared).max() < 1e-5


def test_batches_and_tables_of_cells_give_transformerlenss_numbers(shakespeare, prompts):
    tensors, clean, corrupted, cache, answer, wrong = prompts

    def metric(logits):
        return (logits[:, -1, answer] - logits[:, -1, wrong]).mean()

    rows = [[0, 1], [1, 3], [2, 5], [2, -1], [0, 0]]
    found, table = patching.generic_activation_patch(
        shakespeare, corrupted, cache, metric, patching.layer_pos_patch_setter, "resid_pre", index_df=rows, return_index_df=True)
    assert np.abs(found - tensors["generic(index_df)"]).max() < CLOSE and table is rows
    _, table = patching.generic_activation_patch(
        shakespeare, corrupted, cache, metric, patching.layer_head_vector_patch_setter, "z", index_axis_names=["layer", "head_index"],
        return_index_df=True)
    assert [list(row) for row in getattr(table, "values", table)] == golden("patching")[1]["index_df(layer, head)"]
    batch, answers = tensors["batch/corrupted_tokens"], tensors["batch/answers"]
    cache = shakespeare.run_with_cache(tensors["batch/clean_tokens"])[1]
    difference = metrics.logit_diff(answers[:, 0], answers[:, 1])
    for name in ("resid_pre", "attn_head_out_all_pos"):
        found = getattr(patching, f"get_act_patch_{name}")(shakespeare, batch, cache, difference)
        assert np.abs(found - tensors[f"batch/get_act_patch_{name}"]).max() < CLOSE


def test_own_setters_run_a_pass_per_cell(shakespeare, prompts, in_process):
    tensors, _, corrupted, cache, answer, wrong = prompts

    def half_way(activation, index, clean):
        layer, head, pos = index
        activation[:, pos, head] = (activation[:, pos, head] + clean[:, pos, head]) / 2
        return activation

    def metric(logits):
        return (logits[:, -1, answer] - logits[:, -1, wrong]).mean()

    rows = [[1, 0, 2], [1, 3, -1], [2, 1, 8]]
    found = patching.generic_activation_patch(shakespeare, corrupted, cache, metric, half_way, "z", index_df=rows)
    assert np.abs(found - tensors["generic(own setter, index_df)"]).max() < CLOSE


def test_a_metric_is_called_once_per_cell_with_whole_logits(tiny, tokens, other_tokens):
    cache, shapes = tiny.run_with_cache(other_tokens)[1], []

    def metric(logits):
        shapes.append(tuple(logits.shape))
        return float(logits[0, 2, 3])

    found = patching.get_act_patch_resid_pre(tiny, tokens, cache, metric)
    assert set(shapes) == {(2, 7, tiny.cfg.d_vocab)} and found.size <= len(shapes) <= found.size + 2
    one_by_one = [[float(tiny.run_with_hooks(tokens, fwd_hooks=[(f"blocks.{layer}.hook_resid_pre", op(layer, pos))])[0, 2, 3])
                   for pos in range(7)] for layer in range(2)]
    assert np.abs(found - one_by_one).max() < 1e-5


def op(layer, pos):
    from interopinterp import ops

    return ops.patch(OTHER, pos=pos)


OTHER = np.array([[3, 1, 4, 1, 5, 9, 2], [6, 5, 3, 5, 8, 9, 7]])


def test_mistakes_in_patching_are_named(tiny, tokens, other_tokens):
    cache = tiny.run_with_cache(other_tokens)[1]
    with pytest.raises(errors.InvalidArgumentError, match=r"returned an array of shape \[50\]; one number is expected"):
        patching.get_act_patch_resid_pre(tiny, tokens, cache, lambda logits: logits[0, -1])
    with pytest.raises(errors.InvalidArgumentError, match=r"\[2, 7, 16\].*\[2, 6, 16\]"):
        patching.get_act_patch_resid_pre(tiny, tokens[:, :-1], cache, lambda logits: float(logits[0, -1, 0]))
    partial = tiny.run_with_cache(other_tokens, names_filter="hook_embed")[1]
    with pytest.raises(errors.NotFoundError, match="blocks.0.hook_resid_pre.*names_filter left it out"):
        patching.get_act_patch_resid_pre(tiny, tokens, partial, metrics.log_prob(1))
    with pytest.raises(errors.InvalidArgumentError, match="takes the axes layer, pos"):
        patching.generic_activation_patch(tiny, tokens, cache, metrics.log_prob(1), patching.layer_pos_patch_setter, "z", ("layer", "head"))
    with pytest.raises(errors.NotFoundError, match="axis 'position'.*'pos'|axis 'position'"):
        patching.generic_activation_patch(tiny, tokens, cache, metrics.log_prob(1), patching.layer_pos_patch_setter, "z",
                                          ("layer", "position"))

    def broken(logits):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        patching.get_act_patch_resid_pre(tiny, tokens, cache, broken)
    assert np.isfinite(np.asarray(tiny(tokens))).all()
