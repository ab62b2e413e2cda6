"""Path patching: what one component writes, as another one alone reads it."""

from __future__ import annotations

import dataclasses
from typing import Any, Sequence

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._patching import sources, tables
from interopinterp._patching.result import MetricTable, SweepResult
from interopinterp._plan import PlanScope
from interopinterp._selection import positions, selector
from interopinterp.errors import unknown


@dataclasses.dataclass(frozen=True, repr=False)
class PathResult(SweepResult):
    """A table [sender, receiver].

    has_path  [sender, receiver]: whether any sender of the set reaches any receiver of the set; where not, the value is the baseline
    """

    has_path: np.ndarray | None = None


def path_patch(
    model: Any, tokens: Any, source: Any, senders: Any, receivers: Any, metric: Any, *, freeze_mlps: bool = True, freeze_norms: bool = False,
    sender_pos: Any = None, receiver_pos: Any = None,
) -> PathResult:
    """Senders take another run's values, and only what receivers read of them changes (Wang et al. 2022; Goldowsky-Dill et al. 2023).

    Each sender with each receiver is a cell: all components between keep their values of the base run, which then goes on from the
    receiver with its input held.

    tokens        the base run
    source        what the other run reads, row for row as long; senders' values come from there
    senders       names: "input", "a3.h5" (layer 3, head 5), "m3", "resid_pre3"; a list within the list is patched together. None: each head
    receivers     names: "a3.h5<q>", "a3.h5<k>", "a3.h5<v>" (of keys and values the key head), "m3", "logits"; likewise
    metric        one of interopinterp.metrics
    freeze_mlps   False: MLPs in between are recomputed, so that paths may lead through them
    freeze_norms  norms that a patched input goes through divide by the base run's scale, so that effects of senders add up
    sender_pos, receiver_pos   positions, as an int, a list, a slice or (start, stop)
    """
    if senders is None:
        senders = [f"a{layer}.h{head}" for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    with model.transport.loans() as loans:
        request = _request(model, loans, tokens, source, _sets(senders), _sets(receivers), metric)
        request.patch.freeze_mlps, request.patch.freeze_norms = freeze_mlps, freeze_norms
        for field, part in ((request.patch.sender_positions, sender_pos), (request.patch.receiver_positions, receiver_pos)):
            if (chosen := positions(part)) is not None:
                field.CopyFrom(chosen)
        return _run(model, request, metric.name)


def get_act_patch_direct_path(
    model: Any, corrupted_tokens: Any, clean_cache: Any, corrupted_cache: Any, patching_metric: Any, src_layer: int, src_head: int,
    component: str = "q", verbose: bool = True,
) -> Any:
    """What a head of the clean run writes, patched into the queries, keys or values of each later head: [layer, head].

    TransformerLens 4's call: norms divide by the corrupted run's scale; 0 where the source does not come before. Of keys and values the
    heads are key heads. patching_metric is one of interopinterp.metrics; corrupted_cache is not needed: the engine runs the tokens.
    """
    found = _direct(model, corrupted_tokens, clean_cache, patching_metric, [(src_layer, src_head)], component)
    return arrays.from_numpy(found[0])


def get_act_patch_direct_path_all_sources(
    model: Any, corrupted_tokens: Any, clean_cache: Any, corrupted_cache: Any, patching_metric: Any, component: str = "q",
    verbose: bool = True,
) -> Any:
    """get_act_patch_direct_path of every head: [src_layer, src_head, layer, head]."""
    heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    found = _direct(model, corrupted_tokens, clean_cache, patching_metric, heads, component)
    return arrays.from_numpy(found.reshape(model.cfg.n_layers, model.cfg.n_heads, *found.shape[1:]))


def _direct(model: Any, tokens: Any, clean_cache: Any, metric: Any, heads: list[tuple[int, int]], component: str) -> np.ndarray:
    if component not in ("q", "k", "v"):
        raise unknown("UNKNOWN_COMPONENT", "component of a head", component, ("q", "k", "v"))
    layers, given = model.cfg.n_layers, inputs.read(model, tokens)
    count = model.cfg.n_heads if component == "q" else model.cfg.n_key_value_heads or model.cfg.n_heads
    with model.transport.loans() as loans:
        receivers = [[f"a{layer}.h{head}<{component}>"] for layer in range(layers) for head in range(count)]
        request = _request(model, loans, given, given, [[f"a{layer}.h{head}"] for layer, head in heads], receivers, metric)
        request.patch.freeze_norms = True
        # The source run is the corrupted one with the clean cache's heads in it.
        for layer in sorted({layer for layer, _ in heads}):
            chosen = sorted(head for at, head in heads if at == layer)
            point = f"blocks.{layer}.attn.hook_z"
            edit = request.patch.source.interventions.add(point=point, where=selector(heads=chosen))
            edit.set.value.CopyFrom(loans.tensor(clean_cache[point][:, :, chosen[0]:chosen[-1] + 1]))
        result = _run(model, request, "")
    values = np.where(result.has_path, result.values, 0).astype(np.float32).reshape(len(heads), layers, count)
    for at, (layer, _) in enumerate(heads):
        values[at, :layer + 1] = 0
    return values


def _request(model: Any, loans: Any, tokens: Any, source: Any, senders: list, receivers: list, metric: Any) -> pb.PatchPathsRequest:
    model.check_weights()
    given = tokens if isinstance(tokens, inputs.Input) else inputs.read(model, tokens)
    request = pb.PatchPathsRequest(model=model._name)
    PlanScope(model, loans, request.patch.base).run(given).hooks()
    sources.run_plan(model, loans, request.patch.source, source)
    for names in senders:
        request.patch.senders.add(senders=names)
    for names in receivers:
        request.patch.receivers.add(receivers=names)
    request.patch.metric.CopyFrom(tables.declared(metric, model, loans))
    return request


def _run(model: Any, request: pb.PatchPathsRequest, name: str) -> PathResult:
    response = model.transport.follow_with_bar(request, "path patching")
    labels = {
        "sender": ["+".join(one.senders) for one in request.patch.senders],
        "receiver": ["+".join(one.receivers) for one in request.patch.receivers]}
    shape = tuple(map(len, labels.values()))
    table = MetricTable(name, np.array(response.values).reshape(shape), np.array(response.per_row).reshape(*shape, -1), response.baseline)
    return PathResult("paths", labels, {name: table}, has_path=np.array(response.has_path).reshape(shape))


def _sets(names: str | Sequence[Any]) -> list[list[str]]:
    names = [names] if isinstance(names, str) else names
    return [[one] if isinstance(one, str) else list(one) for one in names]
