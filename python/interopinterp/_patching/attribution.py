"""Attribution patching: what patching every node or edge would do to a metric, to first order, in a few passes."""

from __future__ import annotations

import dataclasses
from typing import Any, Sequence

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._circuits.graph import Circuit, ResidualGraph
from interopinterp._labelled import Labelled
from interopinterp._model import inputs
from interopinterp._patching import tables
from interopinterp._plan import PlanScope
from interopinterp.errors import unknown

_METHODS = {
    "gradient": pb.EDGE_METHOD_GRADIENT, "ig_inputs": pb.EDGE_METHOD_INTEGRATED_INPUTS,
    "ig_activations": pb.EDGE_METHOD_INTEGRATED_ACTIVATIONS}


class Attribution(Labelled):
    """The estimated change of the metric by patching each node of one kind. numpy reads it as its values.

    values  [layer, ...] with the axes named; rows are averaged as the metric is, and the width of heads and streams is summed over
    """

    column = "attribution"


@dataclasses.dataclass(frozen=True)
class NodeAttributions:
    """Attributions by the name of the activation: result["z"] is that of the direction asked for (denoising, where both were)."""

    denoising: dict[str, Attribution]
    noising: dict[str, Attribution]

    def __getitem__(self, name: str) -> Attribution:
        found = self.denoising or self.noising
        if name not in found:
            raise unknown("UNKNOWN_SITE", "activation of this attribution", name, found)
        return found[name]

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in (self.denoising or self.noising).values())


@dataclasses.dataclass(frozen=True)
class EdgeAttributions:
    """The estimated change of the metric by patching each edge of the residual graph.

    graph   who may write to whom
    scores  [sender, receiver]; 0 where there is no edge
    """

    graph: ResidualGraph
    scores: np.ndarray

    @property
    def senders(self) -> list[str]:
        """"input", "a0.h1", "m0", in the order in which they write."""
        return self.graph.senders

    @property
    def receivers(self) -> list[str]:
        """"a1.h0<q>", "m0", "logits", in the order in which they read."""
        return self.graph.receivers

    @property
    def reaching(self) -> list[int]:
        """How many senders reach each receiver: the first so many."""
        return self.graph.reaching

    @property
    def edge_scores(self) -> dict[tuple[str, str], float]:
        """(sender, receiver) -> score of all edges."""
        return {(self.senders[s], receiver): float(self.scores[s, r]) for r, receiver in enumerate(self.receivers)
                for s in range(self.reaching[r])}

    def __getitem__(self, edge: str) -> float:
        scores = {f"{sender}->{receiver}": score for (sender, receiver), score in self.edge_scores.items()}
        if edge not in scores:
            raise unknown("UNKNOWN_EDGE", "edge", edge, scores)
        return scores[edge]

    def top_edges(self, k: int = 10) -> list[tuple[tuple[str, str], float]]:
        """The k edges of largest absolute score: ((sender, receiver), score)."""
        return sorted(self.edge_scores.items(), key=lambda item: -abs(item[1]))[:k]

    def records(self) -> list[dict[str, Any]]:
        """A dict per edge."""
        return [{"sender": sender, "receiver": receiver, "score": score} for (sender, receiver), score in self.edge_scores.items()]

    def circuit(self, size: int, absolute: bool = True) -> Circuit:
        """The circuit of the so many highest-scored edges; by absolute value, as edges that work against the behaviour belong to it too."""
        return self.graph.top(self.scores, size, absolute)

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def _repr_html_(self) -> str:
        if tables.fits(self.scores.shape):
            return tables.page(tables.heatmaps(self.scores, {"sender": self.senders, "receiver": self.receivers}, "edges"))
        return tables.listing("edges", [(f"{sender}->{receiver}", score) for (sender, receiver), score in self.top_edges(tables.LISTED)])

    def __repr__(self) -> str:
        return f"EdgeAttributions({len(self.senders)} senders, {len(self.receivers)} receivers, {sum(self.reaching)} edges)"


def attribution_patch(
    model: Any, clean: Any, corrupt: Any, metric: Any, activations: str | Sequence[str] | None = None, *, direction: str = "denoising",
    fix_qk: bool = False, drop_gradients: bool = False,
) -> NodeAttributions:
    """(value there - value here) · gradient here, for every node of some activations (Nanda 2023; AtP*, Kramár et al. 2024).

    clean, corrupt  token ids [batch, pos] or texts, row for row and of one length
    metric          one of interopinterp.metrics
    activations     names as get_act_name takes them: "z", "q", "pattern", "resid_pre", "mlp_post", ...; if None the streams before blocks,
                    what attention and MLPs add, and heads
    direction       "denoising": the clean run's values in the corrupted run; "noising": the other way round; "both"
    fix_qk          AtP*: the softmax is recomputed for queries and keys
    drop_gradients  AtP*: GradDrop; attributions are then absolute values
    """
    if activations is None:
        activations = ["resid_pre", "attn_out", *([] if model.cfg.attn_only else ["mlp_out"]), "z"]
    activations = [activations] if isinstance(activations, str) else list(activations)
    request = pb.AttributeNodesRequest(model=model._name)
    told = request.patch
    told.sites.extend(activations)
    told.direction = tables.choice(tables.DIRECTIONS, "direction", direction)
    told.fix_queries_and_keys, told.drop_gradients = fix_qk, drop_gradients
    response = _call(model, request, clean, corrupt, metric)
    found: dict[str, dict[str, Attribution]] = {"denoising": {}, "noising": {}}
    for name, site in zip(activations, response.sites):
        for way, into in found.items():
            if site.HasField(way):
                values = model.transport.take(getattr(site, way))
                into[name] = Attribution(name, dict(zip(site.axes, map(range, values.shape))), values)
    return NodeAttributions(**found)


def attribution_patch_edges(
    model: Any, clean: Any, corrupt: Any, metric: Any, *, direction: str = "noising", method: str = "gradient", steps: int = 5
) -> EdgeAttributions:
    """(sender's output there - here) · gradient at what the receiver reads, for every edge of the residual graph.

    clean, corrupt, metric  as in attribution_patch
    direction  "noising", as in the papers, or "denoising"
    method     "gradient" (EAP; Syed et al. 2023), "ig_inputs" (EAP-IG; Hanna et al. 2024: averaged along the way of the embedding) or
               "ig_activations" (along the way of each sender's output)
    steps      points of the average
    """
    request = pb.AttributeEdgesRequest(model=model._name)
    request.patch.direction = tables.choice(
        {name: tables.DIRECTIONS[name] for name in ("denoising", "noising")}, "direction", direction)
    request.patch.method = tables.choice(_METHODS, "method", method)
    request.patch.steps = steps
    response = _call(model, request, clean, corrupt, metric)
    scores = arrays.to_numpy(model.transport.take(response.scores))
    return EdgeAttributions(ResidualGraph.named(model, response.senders, response.receivers, response.reaching), scores)


def _call(model: Any, request: Any, clean: Any, corrupt: Any, metric: Any) -> Any:
    model.check_weights()
    with model.transport.loans() as loans:
        for plan, given in ((request.patch.clean, clean), (request.patch.corrupt, corrupt)):
            PlanScope(model, loans, plan).run(inputs.read(model, given)).hooks()
        request.patch.metric.CopyFrom(tables.declared(metric, model, loans))
        return model.transport.follow_with_bar(request, "attribution")
