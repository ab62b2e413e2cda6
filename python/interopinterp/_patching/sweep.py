"""Sweeps: a table of metrics, one cell for every part of an activation that is replaced."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._patching import corruptions as sources_of_corruption
from interopinterp._patching import sources, tables
from interopinterp._patching.partial import Partial, SweepInterrupted
from interopinterp._patching.result import SweepResult, of_response
from interopinterp._plan import PlanScope
from interopinterp._progress import Bar
from interopinterp._selection import positions
from interopinterp.errors import FailedPreconditionError, InvalidArgumentError, unknown
from interopinterp.metrics import Metric, scalar
from interopinterp.sae import SAE
from interopinterp.utilities.components_utils import get_act_name
from interopinterp.utilities.slice import Slice

_LAYER_POS, _LAYER_HEAD, _LAYER_POS_HEAD = ("layer", "pos"), ("layer", "head"), ("layer", "pos", "head")
# What TransformerLens's get_act_patch_* replace: the activation, and the axes of the table.
GRIDS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: (name, _LAYER_POS) for name in ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")},
    **{f"attn_head_{name}_all_pos": (site, _LAYER_HEAD) for name, site in (("out", "z"), ("q", "q"), ("k", "k"), ("v", "v"))},
    **{f"attn_head_{name}_by_pos": (site, _LAYER_POS_HEAD) for name, site in (("out", "z"), ("q", "q"), ("k", "k"), ("v", "v"))},
    "attn_head_pattern_all_pos": ("pattern", _LAYER_HEAD),
    "attn_head_pattern_by_pos": ("pattern", ("layer", "head", "pos")),
    "attn_head_pattern_dest_src_pos": ("pattern", ("layer", "head", "pos", "src_pos"))}
_FIELDS = {
    "layer": "layers", "pos": "positions", "head": "heads", "src_pos": "source_positions", "neuron": "neurons", "feature": "features"}


def sweep(
    model: Any, tokens: Any, grid: Any, source: Any, metric: Any, *, only: Mapping[str, Any] | None = None, attention_mask: Any = None,
    memory_budget: int | None = None, on_partial: Callable[[SweepResult], Any] | None = None,
) -> SweepResult:
    """A metric (or several) for every way to replace one part of an activation. Nothing runs that a cell cannot change.

    tokens         what runs: token ids [batch, pos] or texts; hooks and SAEs that stand in the model run in every cell
    grid           what is replaced: a name of TransformerLens's without get_act_patch_ ("resid_pre", "attn_head_out_by_pos"); or an
                   activation's name and axes, ("mlp_post", ("layer", "pos")): "layer" first, then of "pos", "head", "src_pos", "neuron";
                   or an SAE (or several, of different layers) and its axes, (sae, ("feature", "pos")): what it misses stays
    source         what stands there instead: a cache (or dict) of another run; what another run reads, row for row; "zero"; mean(tokens);
                   resample(tokens, seed)
    metric         one of interopinterp.metrics, or several as a list or {name: metric}; or a function of logits [batch, pos, d_vocab]
    only           some indices of an axis: {"layer": [0, 3], "pos": -1, "head": (0, 4)}
    memory_budget  bytes that it may hold at once beside the weights; what cannot fit with one cell is refused before it runs
    on_partial     called with the result so far (NaN in cells to come) after each pass
    Raises SweepInterrupted, a KeyboardInterrupt with the result so far, within one pass of Ctrl-C.
    """
    def write(told: pb.Sweep, loans: Any, points: list[str]) -> None:
        sources.write(source, model, loans, told, told.run, points)

    return _run(model, tokens, grid, write, metric, only, attention_mask, memory_budget, on_partial)


def contrast(
    model: Any, clean: Any, corruptions: Any, grid: Any, metric: Any, *, direction: str = "both", only: Mapping[str, Any] | None = None,
    attention_mask: Any = None, memory_budget: int | None = None, on_partial: Callable[[SweepResult], Any] | None = None,
) -> SweepResult:
    """Patches every part between a clean run and corrupted ones, in both directions side by side; every run is done once.

    clean        what the clean run reads: token ids [batch, pos] or texts
    corruptions  {name: corruption}, or one: what a corrupted run reads, row for row; swap_tokens(pairs); gaussian_noise(pos=...)
    direction    "denoising" (clean values into corrupted runs: is the part sufficient?), "noising" (corrupted values into the clean
                 run: is it necessary?) or "both"
    grid, metric, only, memory_budget, on_partial  as in sweep
    Returns a table that begins with the axes "direction" and "corruption"; its normalized is 0 as in the corrupted run, 1 as in the
    clean one.
    """
    def write(told: pb.Sweep, loans: Any, points: list[str]) -> None:
        told.corruptions.direction = tables.choice(tables.DIRECTIONS, "direction", direction)
        sources_of_corruption.write(corruptions, model, loans, told.corruptions)

    return _run(model, clean, grid, write, metric, only, attention_mask, memory_budget, on_partial)


def _run(
    model: Any, tokens: Any, grid: Any, source: Callable, metric: Any, only: Mapping[str, Any] | None, attention_mask: Any,
    memory_budget: int | None, on_partial: Callable | None,
) -> SweepResult:
    activation, axes, saes, asked = _grid(model, grid)
    only = dict(only or {})
    for axis in only:
        if axis not in asked:
            raise unknown("UNKNOWN_AXIS", "axis of this sweep", axis, asked)
    given = tokens if isinstance(tokens, inputs.Input) else inputs.read(model, tokens, attention_mask=attention_mask)
    names, declared, function = _metrics(metric)
    model.check_weights()
    partial = Partial(names, activation, None if on_partial is None else lambda result: on_partial(_without(result, axes, asked)))
    with model.transport.loans() as loans, Bar(f"patch {activation}") as bar:
        request = pb.RunSweepRequest(model=model._name)
        told = request.sweep
        scope = PlanScope(model, loans, told.base).run(given).hooks()
        told.custom_grid.site = activation
        told.custom_grid.axes.extend(axes)
        told.custom_grid.dictionaries.extend(scope.dictionary(sae) for sae in saes)
        for axis, part in only.items():
            getattr(told, _FIELDS[axis]).CopyFrom(positions(part) or pb.Positions(slice=pb.Slice()))
        source(told, loans, [model.resolve(sae.hook_name) for sae in saes]
               or [model.resolve(get_act_name(activation, layer)) for layer in _layers(model, only)])
        if declared:
            told.declared.CopyFrom(declared[0].to_proto(model, loans))
            told.more_metrics.extend(one.to_proto(model, loans) for one in declared[1:])
        if memory_budget is not None:
            told.memory_budget_bytes = memory_budget
        try:
            response = model.transport.run_sweep(request, bar, function, partial)
        except KeyboardInterrupt as stop:
            if not partial.is_known:
                raise
            raise SweepInterrupted(_without(partial.result(), axes, asked)) from stop
    metrics = [response, *response.more]
    result = of_response(response, names, activation, [one.values for one in metrics], [one.per_row for one in metrics], metrics)
    return _without(result, axes, asked)


def _without(result: SweepResult, axes: Sequence[str], asked: Sequence[str]) -> SweepResult:
    """The layer of a single SAE is no axis that anybody asked for."""
    return result if tuple(axes) == tuple(asked) else result.select(layer=result.labels["layer"][0])


def _grid(model: Any, grid: Any) -> tuple[str, tuple[str, ...], list[SAE], tuple[str, ...]]:
    """(activation, the engine's axes, SAEs, the axes that were asked for)."""
    if isinstance(grid, str):
        if grid not in GRIDS:
            raise unknown("UNKNOWN_GRID", "sweep", grid, GRIDS)
        return *GRIDS[grid], [], GRIDS[grid][1]
    what = grid[0] if isinstance(grid, (tuple, list)) and len(grid) == 2 and not isinstance(grid[1], str) else None
    if isinstance(what, str):
        return what, tuple(grid[1]), [], tuple(grid[1])
    saes = [what] if isinstance(what, SAE) else list(what) if isinstance(what, (tuple, list)) else []
    if not saes or not all(isinstance(sae, SAE) for sae in saes):
        raise InvalidArgumentError("UNKNOWN_GRID", f"The grid is {grid!r}; a name ('resid_pre'), an activation and its axes "
                                   "('mlp_post', ('layer', 'pos')) or an SAE and its axes (sae, ('feature', 'pos')) is expected.")
    points = [model.resolve(sae.hook_name) for sae in saes]
    attached = model.acts_to_saes
    for point in points:
        if point in attached and not model._saes[point][1]:
            raise FailedPreconditionError("SAE_ATTACHED", f"An SAE stands at {point} without its error term, so that its reconstruction is "
                                          "what features would be read from: detach it (reset_saes), or attach it with use_error_term=True.")
    asked = tuple(grid[1])
    axes = asked if asked[:1] == ("layer",) or len(saes) > 1 else ("layer", *asked)
    return points[0].split(".", 2)[-1], axes, saes, asked


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
