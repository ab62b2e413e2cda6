"""Finding circuits, and how good they are: faithful, complete, minimal."""

from __future__ import annotations

import dataclasses
import html
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._circuits import drawing
from interopinterp._circuits.graph import Circuit, ResidualGraph
from interopinterp._model import inputs
from interopinterp._patching import sources, tables
from interopinterp._plan import PlanScope
from interopinterp.errors import InvalidArgumentError


@dataclasses.dataclass(frozen=True)
class FoundCircuit:
    """What automatic circuit discovery found.

    circuit   the edges that are left; its scores are by how much the distance grew as each edge was left out, when it was tried
    distance  of the circuit's metric from the whole model's
    runs      variants of the model that were run
    """

    circuit: Circuit
    distance: float
    runs: int

    def _repr_html_(self) -> str:
        return self.circuit._repr_html_()


@dataclasses.dataclass(frozen=True)
class CircuitPerformance:
    """A circuit's size and metric beside those of the whole model and of no circuit at all.

    edges, nodes  in the circuit
    value         the metric with all else ablated
    outside       the metric with the circuit ablated and all else left; None where it was not asked for
    whole, none   the metric of the model, and with every edge ablated
    """

    edges: int
    nodes: int
    value: float
    outside: float | None
    whole: float
    none: float

    @property
    def recovered(self) -> float:
        """Faithfulness: 0 as with every edge ablated, 1 as the model."""
        return _share(self.value - self.none, self.whole - self.none)

    @property
    def recovered_outside(self) -> float | None:
        """Completeness (Marks et al. 2024): the same of what is outside; 0 where nothing of the behaviour is left there."""
        return None if self.outside is None else _share(self.outside - self.none, self.whole - self.none)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Circuits and how good each is. A notebook shows recovered behaviour by size."""

    names: list[str]
    circuits: list[Circuit]
    performances: list[CircuitPerformance]

    def pareto(self) -> list[str]:
        """The circuits that no smaller one recovers as much as, smallest first."""
        order = sorted(range(len(self.names)), key=lambda at: (self.performances[at].edges, -self.performances[at].recovered))
        best, front = -np.inf, []
        for at in order:
            if self.performances[at].recovered > best:
                best = self.performances[at].recovered
                front.append(self.names[at])
        return front

    def records(self) -> list[dict[str, Any]]:
        """A dict per circuit."""
        front = set(self.pareto())
        return [{"circuit": name, **dataclasses.asdict(one), "recovered": one.recovered, "recovered_outside": one.recovered_outside,
                 "pareto": name in front} for name, one in zip(self.names, self.performances)]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def __getitem__(self, at: Any) -> CircuitPerformance:
        return self.performances[self.names.index(at) if isinstance(at, str) else at]

    def __len__(self) -> int:
        return len(self.performances)

    def _repr_html_(self) -> str:
        rows = self.records()
        plot = drawing.curve([row["edges"] for row in rows], [row["recovered"] for row in rows],
                             [f"{row['circuit']}: {row['edges']} edges, {row['recovered']:.3g}" for row in rows],
                             [row["pareto"] for row in rows], "edges", "recovered")
        columns = ("circuit", "edges", "nodes", "value", "recovered", "recovered_outside")
        lines = "".join("<tr>" + "".join(f"<td>{html.escape(_shown(row[column]))}</td>" for column in columns) + "</tr>"
                        for row in rows[:tables.LISTED])
        return f"{plot}<table><tr>{''.join(f'<th>{column}</th>' for column in columns)}</tr>{lines}</table>"

    def __repr__(self) -> str:
        shown = (f"{name}: {one.edges} edges, {one.recovered:.3g}" for name, one in zip(self.names, self.performances))
        return f"Evaluation({', '.join(shown)})"


@dataclasses.dataclass(frozen=True)
class Knockout:
    """The same nodes knocked out of circuit and model.

    circuit, model   the metric without them
    incompleteness   the distance of the two: a complete circuit suffers as the model does (Wang et al. 2022)
    """

    nodes: tuple[str, ...]
    circuit: float
    model: float

    @property
    def incompleteness(self) -> float:
        """|F(C \\ K) - F(M \\ K)|."""
        return abs(self.circuit - self.model)


def acdc(model: Any, prompts: Any, ablation: Any, metric: Any, threshold: float) -> FoundCircuit:
    """Automatic circuit discovery (Conmy et al. 2023): from the logits back, edges that the metric does not need are left out for good.

    prompts    token ids [batch, pos] or texts, of one length
    ablation   what an ablated edge carries: what corrupted prompts read, row for row; patching.mean(tokens); patching.resample(tokens);
               "zero"; or a cache (or dict) with z, mlp_out and the first resid_pre of the prompts' shape
    metric     one of interopinterp.metrics; with kl_divergence(the prompts' own logits) it is the paper's
    threshold  by how much the distance of the metric from the whole model's may grow for leaving an edge out
    """
    def task(loans: Any) -> Any:
        return pb.FindCircuitRequest(model=model._name, task=_task(model, loans, prompts, ablation, metric), threshold=threshold)

    found = _call(model, task, "acdc")
    mask = arrays.to_numpy(model.transport.take(found.mask))
    effects = arrays.to_numpy(model.transport.take(found.effects))
    return FoundCircuit(Circuit(ResidualGraph.of(model), mask, effects), found.distance, found.runs)


def evaluate(model: Any, circuits: Any, prompts: Any, ablation: Any, metric: Any, *, outside: bool = True) -> Evaluation:
    """What circuits recover of the behaviour with everything else ablated, and what is left without them.

    circuits   a Circuit, several, or {name: Circuit}
    prompts, ablation, metric  as in acdc
    outside    also measure what is left without each
    """
    return _evaluate(model, circuits, prompts, ablation, metric, inside_only=not outside)


def confirm(model: Any, clean: Any, corrupt: Any, circuits: Any, metric: Any) -> Evaluation:
    """The confirmatory experiment of Heimersheim and Nanda 2024: all of the rest corrupted at once against hypothesised circuits.

    clean      prompts with the behaviour; corrupt, as many and as long, without it
    circuits   as in evaluate: of growing size they give the Pareto front of size against recovered behaviour
    Raises TASK_NOT_SOLVED where the metric is the same on both.
    """
    return _evaluate(model, circuits, clean, corrupt, metric, confirm=True)


def completeness(model: Any, circuit: Circuit, knockouts: Sequence[Any], prompts: Any, ablation: Any, metric: Any) -> list[Knockout]:
    """Circuit and model after the same nodes are knocked out of both (Wang et al. 2022).

    knockouts  sets of nodes, each knocked out by itself: [["a0.h1"], ["a0.h1", "m2"]]
    """
    sets = [(one,) if isinstance(one, str) else tuple(one) for one in knockouts]

    def request(loans: Any) -> Any:
        told = pb.KnockOutNodesRequest(model=model._name, task=_task(model, loans, prompts, ablation, metric))
        _write(told.circuit, circuit, loans)
        for nodes in sets:
            told.knockouts.add(senders=nodes)
        return told

    return [Knockout(nodes, one.circuit, one.model) for nodes, one in zip(sets, _call(model, request, "completeness").knockouts)]


def minimality(model: Any, circuit: Circuit, prompts: Any, ablation: Any, metric: Any) -> dict[str, float]:
    """By how much the circuit's metric moves without each of its nodes, largest first: no node of a minimal circuit is idle."""
    def request(loans: Any) -> Any:
        told = pb.MeasureNodesRequest(model=model._name, task=_task(model, loans, prompts, ablation, metric))
        _write(told.circuit, circuit, loans)
        return told

    return {one.node: one.change for one in _call(model, request, "minimality").nodes}


def _evaluate(model: Any, circuits: Any, prompts: Any, ablation: Any, metric: Any, **options: bool) -> Evaluation:
    if isinstance(circuits, Mapping):
        names, given = list(circuits), list(circuits.values())
    else:
        given = [circuits] if isinstance(circuits, Circuit) else list(circuits)
        names = [f"circuit {at}" for at in range(len(given))]

    def request(loans: Any) -> Any:
        told = pb.EvaluateCircuitsRequest(model=model._name, task=_task(model, loans, prompts, ablation, metric), **options)
        for one in given:
            _write(told.circuits.add(), one, loans)
        return told

    found = _call(model, request, "circuits")
    return Evaluation(names, given, [
        CircuitPerformance(one.edges, one.nodes, one.value, one.outside if one.HasField("outside") else None, found.whole, found.none)
        for one in found.circuits])


def _call(model: Any, request: Callable[[Any], Any], what: str) -> Any:
    model.check_weights()
    with model.transport.loans() as loans:
        return model.transport.follow_with_bar(request(loans), what)


def _task(model: Any, loans: Any, prompts: Any, ablation: Any, metric: Any) -> pb.CircuitTask:
    task = pb.CircuitTask(metric=tables.declared(metric, model, loans))
    PlanScope(model, loans, task.prompts).run(inputs.read(model, prompts)).hooks()
    sources.write(ablation, model, loans, task, task.corrupt, _points(model), "ablation", "CIRCUIT_ABLATION")
    return task


def _points(model: Any) -> list[str]:
    """Where senders' outputs stand."""
    layers = range(model.cfg.n_layers)
    mlps = [] if model.cfg.attn_only else [f"blocks.{layer}.hook_mlp_out" for layer in layers]
    return ["blocks.0.hook_resid_pre", *(f"blocks.{layer}.attn.hook_z" for layer in layers), *mlps]


def _write(told: pb.Circuit, circuit: Any, loans: Any) -> None:
    if not isinstance(circuit, Circuit):
        raise InvalidArgumentError("NO_CIRCUIT", f"A {type(circuit).__name__} was given; a Circuit is expected: of acdc, of "
                                   "attribution_patch_edges(...).circuit(size), or ResidualGraph.of(model).of_nodes(names).")
    told.mask.CopyFrom(loans.tensor(np.ascontiguousarray(circuit.mask)))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
