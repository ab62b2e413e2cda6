"""Sweeps: a table of metrics, one cell for every part of an activation that is replaced."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

import numpy as np

from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._patching import sources
from interopinterp._patching.result import MetricTable, SweepResult
from interopinterp._plan import PlanScope
from interopinterp._progress import Bar
from interopinterp._selection import positions
from interopinterp.errors import InvalidArgumentError, unknown
from interopinterp.metrics import Metric, scalar
from interopinterp.utilities.components_utils import get_act_name
from interopinterp.utilities.slice import Slice

_LAYER_POS, _LAYER_HEAD, _LAYER_POS_HEAD = ("layer", "pos"), ("layer", "head"), ("layer", "pos", "head")
# What TransformerLens's get_act_patch_* replace: the activation, and the axes of the table.
GRIDS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: (name, _LAYER_POS) for name in ("resid_pre", "resid_mid", "attn_out", "mlp_out")},
    **{f"attn_head_{name}_all_pos": (site, _LAYER_HEAD) for name, site in (("out", "z"), ("q", "q"), ("k", "k"), ("v", "v"))},
    **{f"attn_head_{name}_by_pos": (site, _LAYER_POS_HEAD) for name, site in (("out", "z"), ("q", "q"), ("k", "k"), ("v", "v"))},
    "attn_head_pattern_all_pos": ("pattern", _LAYER_HEAD),
    "attn_head_pattern_by_pos": ("pattern", ("layer", "head", "pos")),
    "attn_head_pattern_dest_src_pos": ("pattern", ("layer", "head", "pos", "src_pos"))}
_FIELDS = {"layer": "layers", "pos": "positions", "head": "heads", "src_pos": "source_positions"}


def sweep(
    model: Any, tokens: Any, grid: str | tuple[str, Sequence[str]], source: Any, metric: Any, *, only: Mapping[str, Any] | None = None,
    attention_mask: Any = None,
) -> SweepResult:
    """A metric (or several) for every way to replace one part of an activation. Nothing runs that a cell cannot change.

    tokens  what runs: token ids [batch, pos] or texts; hooks and SAEs that stand in the model run in every cell
    grid    what is replaced: a name of TransformerLens's without get_act_patch_ ("resid_pre", "attn_head_out_by_pos"); or an activation's
            name and axes, ("mlp_post", ("layer", "pos")): "layer" first, then of "pos", "head", "src_pos"
    source  what stands there instead: a cache (or dict) of another run; what another run reads, row for row; "zero"; mean(tokens);
            resample(tokens, seed)
    metric  one of interopinterp.metrics, or several as a list or {name: metric}; or a function of logits [batch, pos, d_vocab]
    only    some indices of an axis: {"layer": [0, 3], "pos": -1, "head": (0, 4)}
    """
    activation, axes = _grid(grid)
    only = dict(only or {})
    for axis in only:
        if axis not in axes:
            raise unknown("UNKNOWN_AXIS", "axis of this sweep", axis, axes)
    given = tokens if isinstance(tokens, inputs.Input) else inputs.read(model, tokens, attention_mask=attention_mask)
    names, declared, function = _metrics(metric)
    model.check_weights()
    with model.transport.loans() as loans, Bar(f"patch {activation}") as bar:
        request = pb.RunSweepRequest(model=model._name)
        told = request.sweep
        PlanScope(model, loans, told.base).run(given).hooks()
        told.custom_grid.site = activation
        told.custom_grid.axes.extend(axes)
        for axis, part in only.items():
            getattr(told, _FIELDS[axis]).CopyFrom(positions(part) or pb.Positions(slice=pb.Slice()))
        sources.write(source, model, loans, told, [model.resolve(get_act_name(activation, layer)) for layer in _layers(model, only)])
        if declared:
            told.declared.CopyFrom(declared[0].to_proto(model, loans))
            told.more_metrics.extend(one.to_proto(model, loans) for one in declared[1:])
        response = model.transport.run_sweep(request, bar, function)
    return _result(response, names, activation)


def _grid(grid: Any) -> tuple[str, tuple[str, ...]]:
    if isinstance(grid, str):
        if grid not in GRIDS:
            raise unknown("UNKNOWN_GRID", "sweep", grid, GRIDS)
        return GRIDS[grid]
    if not isinstance(grid, (tuple, list)) or len(grid) != 2 or not isinstance(grid[0], str) or isinstance(grid[1], str):
        raise InvalidArgumentError("UNKNOWN_GRID", f"The grid is {grid!r}; a name ('resid_pre') or an activation and its axes "
                                   "('mlp_post', ('layer', 'pos')) is expected.")
    return grid[0], tuple(grid[1])


def _layers(model: Any, only: Mapping[str, Any]) -> list[int]:
    try:
        return Slice.unwrap(only.get("layer")).indices(model.cfg.n_layers).tolist()
    except IndexError:  # the engine says which, and how many layers there are
        return []


def _metrics(given: Any) -> tuple[list[str], list[Metric], Callable | None]:
    if not isinstance(given, (Metric, Mapping, list, tuple)) and callable(given):
        return [getattr(given, "__name__", "metric")], [], lambda logits: scalar(given(logits), given)
    if isinstance(given, Mapping):
        names, metrics = list(given), list(given.values())
    else:
        metrics = [given] if isinstance(given, Metric) else list(given) if isinstance(given, (list, tuple)) else [given]
        plain = [one.name if isinstance(one, Metric) else "" for one in metrics]
        names = [name if plain.count(name) == 1 else f"{name}_{plain[:at].count(name) + 1}" for at, name in enumerate(plain)]
    for one in metrics:
        if not isinstance(one, Metric):
            raise InvalidArgumentError("NOT_A_METRIC", f"The metric is a {type(one).__name__}; a function of logits, or of "
                                       "interopinterp.metrics one or several, is expected.")
    if not metrics:
        raise InvalidArgumentError("NOT_A_METRIC", "There is no metric: a sweep measures at least one.")
    return names, metrics, None


def _result(response: pb.RunSweepResponse, names: list[str], activation: str) -> SweepResult:
    shape = tuple(response.shape)

    def table(name: str, values: Any) -> MetricTable:
        rows = np.array(values.per_row).reshape((*shape, -1)) if len(values.per_row) else None
        return MetricTable(name, np.array(values.values).reshape(shape), rows, values.baseline)

    tables = [table(name, values) for name, values in zip(names, [response, *response.more])]
    labels = {axis: list(indices.values) for axis, indices in zip(response.axes, response.indices)}
    return SweepResult(activation, labels, {one.name: one for one in tables})
