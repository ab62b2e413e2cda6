"""Activation patching: TransformerLens 3.9's calls, run as sweeps by the engine.

    results = patching.get_act_patch_resid_pre(model, corrupted_tokens, clean_cache, metric)

No cell is a full pass: it resumes at its layer, cells share passes, and only what the metric reads is unembedded. The numbers are those
of one pass per cell. metric is a function of logits [batch, pos, d_vocab] to a number, called once per cell (and twice on the base run,
to find out what it reads), or one of interopinterp.metrics, which needs no call at all.

    result = patching.sweep(model, corrupted_tokens, "resid_pre", clean_tokens, [metrics.logit_diff(" John", " Mary"), metrics.loss()])

is the same with other sources (zero, mean, resample), an SAE's features as an axis, several metrics in one go, and rows kept apart.
contrast patches between a clean run and several corrupted ones in both directions, explore between two. attribution_patch estimates all of
it in a few passes, path_patch goes along single paths; what they point to is tested by interopinterp.circuits.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, Callable, Sequence

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp._model import inputs
from interopinterp._patching.attribution import (  # noqa: F401
    Attribution, EdgeAttributions, NodeAttributions, attribution_patch, attribution_patch_edges)
from interopinterp._patching.corruptions import gaussian_noise, swap_tokens  # noqa: F401
from interopinterp._patching.experiments import Exploration, explore  # noqa: F401
from interopinterp._patching.partial import SweepInterrupted  # noqa: F401
from interopinterp._patching.paths import (  # noqa: F401
    PathResult, get_act_patch_direct_path, get_act_patch_direct_path_all_sources, path_patch)
from interopinterp._patching.result import MetricTable, Statistics, SweepResult  # noqa: F401
from interopinterp._patching.sources import mean, means, resample, samples  # noqa: F401
from interopinterp._patching.sweep import contrast, sweep  # noqa: F401
from interopinterp._progress import Bar
from interopinterp.errors import InvalidArgumentError, unknown
from interopinterp.metrics import Metric, scalar
from interopinterp.utilities.components_utils import get_act_name

_AXES = {"layer": "layer", "pos": "pos", "dest_pos": "pos", "src_pos": "src_pos", "head": "head", "head_index": "head"}


def layer_pos_patch_setter(corrupted_activation: Any, index: Sequence[int], clean_activation: Any) -> Any:
    """Patches [:, pos] for index [layer, pos]."""
    return _put(corrupted_activation, clean_activation, (slice(None), _of(index, 2)[1]))


def layer_pos_head_vector_patch_setter(corrupted_activation: Any, index: Sequence[int], clean_activation: Any) -> Any:
    """Patches [:, pos, head] for index [layer, pos, head]."""
    return _put(corrupted_activation, clean_activation, (slice(None), *_of(index, 3)[1:]))


def layer_head_vector_patch_setter(corrupted_activation: Any, index: Sequence[int], clean_activation: Any) -> Any:
    """Patches [:, :, head] for index [layer, head]."""
    return _put(corrupted_activation, clean_activation, (slice(None), slice(None), _of(index, 2)[1]))


def layer_head_pattern_patch_setter(corrupted_activation: Any, index: Sequence[int], clean_activation: Any) -> Any:
    """Patches [:, head] of scores or patterns for index [layer, head]."""
    return _put(corrupted_activation, clean_activation, (slice(None), _of(index, 2)[1]))


def layer_head_pos_pattern_patch_setter(corrupted_activation: Any, index: Sequence[int], clean_activation: Any) -> Any:
    """Patches [:, head, dest_pos] of scores or patterns for index [layer, head, dest_pos]."""
    return _put(corrupted_activation, clean_activation, (slice(None), *_of(index, 3)[1:]))


def layer_head_dest_src_pos_pattern_patch_setter(corrupted_activation: Any, index: Sequence[int], clean_activation: Any) -> Any:
    """Patches [:, head, dest_pos, src_pos] of scores or patterns for index [layer, head, dest_pos, src_pos]."""
    return _put(corrupted_activation, clean_activation, (slice(None), *_of(index, 4)[1:]))


# The axes of the engine's sweep that does what a setter does cell by cell.
_SWEPT = {
    layer_pos_patch_setter: ("layer", "pos"), layer_pos_head_vector_patch_setter: ("layer", "pos", "head"),
    layer_head_vector_patch_setter: ("layer", "head"), layer_head_pattern_patch_setter: ("layer", "head"),
    layer_head_pos_pattern_patch_setter: ("layer", "head", "pos"),
    layer_head_dest_src_pos_pattern_patch_setter: ("layer", "head", "pos", "src_pos")}


def generic_activation_patch(
    model: Any, corrupted_tokens: Any, clean_cache: Any, patching_metric: Callable | Metric, patch_setter: Callable, activation_name: str,
    index_axis_names: Sequence[str] | None = None, index_df: Any = None, return_index_df: bool = False,
) -> Any:
    """The metric for every way to patch one part of an activation of the clean run into the corrupted run.

    clean_cache       an ActivationCache (or dict) of the clean run, with the activation of every layer that is patched
    patch_setter      (corrupted_activation, index, clean_activation) -> activation. Those of this module are swept by the engine; another
                      one is called in a pass of its own per cell, in process only
    activation_name   as get_act_name takes it: "resid_pre", "z", "pattern"
    index_axis_names  axes to go through: "layer" first, then of "pos", "head_index" ("head"), "dest_pos", "src_pos". The result has them
    index_df          instead: the cells themselves, a pandas table (or rows) whose first column is the layer. The result is flat
    Returns an array, or with return_index_df (array, the table of cells).
    """
    if (index_axis_names is None) == (index_df is None):
        raise InvalidArgumentError("SWEEP_AXES", "Give one of index_axis_names and index_df.")
    given = inputs.read(model, corrupted_tokens)
    if index_df is None:
        ranges = [_size(model, axis, activation_name, given) for axis in index_axis_names]
        cells = list(itertools.product(*map(range, ranges)))
    else:
        cells = [tuple(int(i) for i in row) for row in getattr(index_df, "values", index_df)]
    swept = _SWEPT.get(patch_setter)
    if swept is not None and index_df is None:
        _check_axes(index_axis_names, swept, patch_setter)
        values = sweep(model, given, (activation_name, swept), clean_cache, patching_metric).values
    elif swept is not None:
        values = _some(model, given, clean_cache, patching_metric, activation_name, swept, cells)
    else:
        values = _one_by_one(model, corrupted_tokens, clean_cache, patching_metric, patch_setter, activation_name, cells)
        values = values if index_df is not None else values.reshape(ranges)
    out = arrays.from_numpy(np.ascontiguousarray(values, np.float32))
    if not return_index_df:
        return out
    return out, index_df if index_df is not None else make_df_from_ranges(ranges, index_axis_names)


def make_df_from_ranges(column_max_ranges: Sequence[int], column_names: Sequence[str]) -> Any:
    """Every combination of indices, the last column fastest: a pandas table, or a list of tuples where there is no pandas."""
    rows = list(itertools.product(*map(range, column_max_ranges)))
    try:
        import pandas
    except ImportError:
        return rows
    return pandas.DataFrame(rows, columns=list(column_names))


def _some(model: Any, given: Any, clean_cache: Any, metric: Any, name: str, axes: Sequence[str], cells: list[tuple]) -> np.ndarray:
    """Single cells: the smallest grid that has them all, and those of it."""
    if any(len(cell) != len(axes) for cell in cells):
        raise InvalidArgumentError("SWEEP_AXES", f"The cells have {len(cells[0])} columns; the setter takes {', '.join(axes)}.")
    columns = [sorted(set(column)) for column in zip(*cells)]
    values = sweep(model, given, (name, axes), clean_cache, metric, only=dict(zip(axes, columns))).values
    return np.array([values[tuple(column.index(i) for column, i in zip(columns, cell))] for cell in cells])


def _one_by_one(model: Any, tokens: Any, clean_cache: Any, metric: Any, setter: Callable, name: str, cells: list[tuple]) -> np.ndarray:
    """A pass per cell, for setters that only their author knows."""
    values = []
    with Bar(f"patch {name}") as bar:
        for index in cells:
            point = get_act_name(name, index[0])
            clean = clean_cache[point]

            def patch(activation: Any, hook: Any) -> Any:
                return setter(activation, list(index), clean)

            if isinstance(metric, Metric):
                with model.hooks(fwd_hooks=[(point, patch)]):
                    values.append(float(np.mean(arrays.to_numpy(model.measure(tokens, metric)))))
            else:
                values.append(scalar(metric(model.run_with_hooks(tokens, fwd_hooks=[(point, patch)])), metric))
            bar(len(values), len(cells))
    return np.array(values)


def _size(model: Any, axis: str, activation_name: str, given: Any) -> int:
    if axis not in _AXES:
        raise unknown("UNKNOWN_AXIS", "axis", axis, _AXES)
    if axis == "layer":
        return model.cfg.n_layers
    if _AXES[axis] == "head":
        grouped = activation_name in ("k", "v") and not model.cfg.ungroup_grouped_query_attention
        return model.cfg.n_key_value_heads or model.cfg.n_heads if grouped else model.cfg.n_heads
    return max(map(len, given.rows))


def _check_axes(names: Sequence[str], swept: Sequence[str], setter: Callable) -> None:
    if tuple(_AXES[name] for name in names) != tuple(swept):
        raise InvalidArgumentError("SWEEP_AXES",
                                   f"{setter.__name__} takes the axes {', '.join(swept)}; index_axis_names are {', '.join(names)}.")


def _of(index: Sequence[int], count: int) -> Sequence[int]:
    if len(index) != count:
        raise InvalidArgumentError("SWEEP_AXES", f"The setter takes {count} indices; it was given {list(index)}.")
    return index


def _put(corrupted: Any, clean: Any, where: tuple) -> Any:
    corrupted[where] = clean[where]
    return corrupted


def _helper(setter: Callable, name: str, axes: Sequence[str], what: str) -> Callable:
    made = functools.partial(generic_activation_patch, patch_setter=setter, activation_name=name, index_axis_names=axes)
    made.__doc__ = f"""{what}: an array [{', '.join(axes)}].

    Called as (model, corrupted_tokens, clean_cache, patching_metric)."""
    return made


_LAYER_POS, _LAYER_HEAD, _LAYER_POS_HEAD = ("layer", "pos"), ("layer", "head"), ("layer", "pos", "head")
get_act_patch_resid_pre = _helper(layer_pos_patch_setter, "resid_pre", _LAYER_POS,
                                  "Patches the residual stream before each block, by position")
get_act_patch_resid_mid = _helper(layer_pos_patch_setter, "resid_mid", _LAYER_POS,
                                  "Patches the residual stream before each MLP, by position")
get_act_patch_attn_out = _helper(layer_pos_patch_setter, "attn_out", _LAYER_POS, "Patches what each attention layer adds, by position")
get_act_patch_mlp_out = _helper(layer_pos_patch_setter, "mlp_out", _LAYER_POS, "Patches what each MLP adds, by position")
get_act_patch_attn_head_out_by_pos = _helper(layer_pos_head_vector_patch_setter, "z", _LAYER_POS_HEAD,
                                             "Patches heads' outputs, by position")
get_act_patch_attn_head_q_by_pos = _helper(layer_pos_head_vector_patch_setter, "q", _LAYER_POS_HEAD, "Patches heads' queries, by position")
get_act_patch_attn_head_k_by_pos = _helper(layer_pos_head_vector_patch_setter, "k", _LAYER_POS_HEAD, "Patches heads' keys, by position")
get_act_patch_attn_head_v_by_pos = _helper(layer_pos_head_vector_patch_setter, "v", _LAYER_POS_HEAD, "Patches heads' values, by position")
get_act_patch_attn_head_out_all_pos = _helper(layer_head_vector_patch_setter, "z", _LAYER_HEAD, "Patches heads' outputs at all positions")
get_act_patch_attn_head_q_all_pos = _helper(layer_head_vector_patch_setter, "q", _LAYER_HEAD, "Patches heads' queries at all positions")
get_act_patch_attn_head_k_all_pos = _helper(layer_head_vector_patch_setter, "k", _LAYER_HEAD, "Patches heads' keys at all positions")
get_act_patch_attn_head_v_all_pos = _helper(layer_head_vector_patch_setter, "v", _LAYER_HEAD, "Patches heads' values at all positions")
get_act_patch_attn_head_pattern_all_pos = _helper(layer_head_pattern_patch_setter, "pattern", _LAYER_HEAD, "Patches heads' whole patterns")
get_act_patch_attn_head_pattern_by_pos = _helper(
    layer_head_pos_pattern_patch_setter, "pattern", ("layer", "head", "dest_pos"), "Patches heads' patterns, by the position that attends")
get_act_patch_attn_head_pattern_dest_src_pos = _helper(
    layer_head_dest_src_pos_pattern_patch_setter, "pattern", ("layer", "head", "dest_pos", "src_pos"), "Patches single entries of patterns")


def get_act_patch_attn_head_all_pos_every(model: Any, corrupted_tokens: Any, clean_cache: Any, metric: Any) -> Any:
    """Heads at all positions by outputs, queries, keys, values and patterns: [5, layer, head]. Grouped key heads are followed by zeros."""
    given = (model, corrupted_tokens, clean_cache, metric)
    return _every([get_act_patch_attn_head_out_all_pos(*given), get_act_patch_attn_head_q_all_pos(*given),
                   get_act_patch_attn_head_k_all_pos(*given),
                   get_act_patch_attn_head_v_all_pos(*given), get_act_patch_attn_head_pattern_all_pos(*given)])


def get_act_patch_attn_head_by_pos_every(model: Any, corrupted_tokens: Any, clean_cache: Any, metric: Any) -> Any:
    """Heads by position, by outputs, queries, keys, values and patterns: [5, layer, pos, head]. Grouped key heads are followed by zeros."""
    given = (model, corrupted_tokens, clean_cache, metric)
    patterns = get_act_patch_attn_head_pattern_by_pos(*given)
    return _every([get_act_patch_attn_head_out_by_pos(*given), get_act_patch_attn_head_q_by_pos(*given),
                   get_act_patch_attn_head_k_by_pos(*given),
                   get_act_patch_attn_head_v_by_pos(*given), patterns.swapaxes(1, 2)])


def get_act_patch_block_every(model: Any, corrupted_tokens: Any, clean_cache: Any, metric: Any) -> Any:
    """The residual stream before each block, what attention adds and what the MLP adds, by position: [3, layer, pos]."""
    given = (model, corrupted_tokens, clean_cache, metric)
    return arrays.stack([get_act_patch_resid_pre(*given), get_act_patch_attn_out(*given), get_act_patch_mlp_out(*given)])


def _every(results: list[Any]) -> Any:
    heads = results[0].shape[-1]
    padded = [np.pad(arrays.to_numpy(r), [(0, 0)] * (r.ndim - 1) + [(0, heads - r.shape[-1])]) for r in results]
    return arrays.from_numpy(np.stack(padded))
