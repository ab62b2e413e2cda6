"""The residual graph of a model, and circuits: sets of its edges."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Iterable

import numpy as np

from interopinterp import _pb as pb
from interopinterp._circuits import drawing
from interopinterp._patching import tables
from interopinterp.errors import InvalidArgumentError, OutOfRangeError, unknown


@dataclasses.dataclass(frozen=True)
class ResidualGraph:
    """Who may write to whom in the residual stream (the graph of ACDC and of edge attribution patching).

    senders    "input", "a0.h1", "m0", in the order in which they write
    receivers  "a1.h0<q>", "m0", "logits", in the order in which they read; of keys and values the heads are key heads
    reaching   how many senders reach each receiver: the first so many
    cfg        the model's shape, as circuits' files name it
    """

    senders: list[str]
    receivers: list[str]
    reaching: list[int]
    cfg: dict[str, Any]

    @staticmethod
    def of(model: Any) -> "ResidualGraph":
        """The graph of a model."""
        told = model.transport.call(pb.GetResidualGraphRequest(model=model._name))
        return ResidualGraph.named(model, told.senders, told.receivers, told.reaching)

    @staticmethod
    def named(model: Any, senders: Iterable[str], receivers: Iterable[str], reaching: Iterable[int]) -> "ResidualGraph":
        """A graph that the engine has told."""
        c = model.cfg
        shape = {"n_layers": c.n_layers, "n_heads": c.n_heads, "n_key_value_heads": c.n_key_value_heads or c.n_heads,
                 "parallel_attn_mlp": bool(c.parallel_attn_mlp), "d_model": c.d_model}
        return ResidualGraph(list(senders), list(receivers), list(reaching), shape)

    @property
    def edges(self) -> list[str]:
        """All edges, receiver by receiver: "a0.h1->m0"."""
        return [f"{self.senders[s]}->{receiver}" for r, receiver in enumerate(self.receivers) for s in range(self.reaching[r])]

    def place(self, edge: str) -> tuple[int, int]:
        """(sender, receiver) of an edge's name. Raises UNKNOWN_EDGE with the nearest names."""
        sender, _, receiver = edge.partition("->")
        if sender in self.senders and receiver in self.receivers:
            at = self.senders.index(sender), self.receivers.index(receiver)
            if at[0] < self.reaching[at[1]]:
                return at
        raise unknown("UNKNOWN_EDGE", "edge", edge, self.edges)

    def feeds(self, receiver: str) -> list[str]:
        """The senders whose output a receiver's input goes into; of grouped keys and values several."""
        node, _, part = receiver.rstrip(">").partition("<")
        if receiver == "logits":
            return []
        if part in ("", "q"):
            return [node]
        layer, head = node.split(".h")
        share = self.cfg["n_heads"] // self.cfg["n_key_value_heads"]
        return [f"{layer}.h{int(head) * share + i}" for i in range(share)]

    def all(self) -> "Circuit":
        """The circuit of all edges."""
        return Circuit(self, np.arange(len(self.senders))[:, None] < np.array(self.reaching))

    def of_edges(self, edges: Iterable[str]) -> "Circuit":
        """A circuit of some edges by their names."""
        mask = np.zeros((len(self.senders), len(self.receivers)), bool)
        for edge in edges:
            mask[self.place(edge)] = True
        return Circuit(self, mask)

    def of_nodes(self, nodes: Iterable[str]) -> "Circuit":
        """All that some nodes write; the embedding is always among them."""
        chosen = {"input", *nodes}
        for node in chosen:
            if node not in self.senders:
                raise unknown("UNKNOWN_SENDER", "sender", node, self.senders)
        return Circuit(self, self.all().mask & np.array([sender in chosen for sender in self.senders])[:, None])

    def top(self, scores: np.ndarray, size: int, absolute: bool = True) -> "Circuit":
        """The highest-scored edges."""
        places = [(s, r) for r in range(len(self.receivers)) for s in range(self.reaching[r])]
        if not 0 <= size <= len(places):
            raise OutOfRangeError("CIRCUIT_SIZE", f"A circuit of {size} edges: the graph has {len(places)}.")
        ranked = np.array([scores[at] for at in places])
        order = np.argsort(-(np.abs(ranked) if absolute else ranked), kind="stable")[:size]
        mask = np.zeros_like(scores, bool)
        for at in order:
            mask[places[at]] = True
        return Circuit(self, mask, scores)

    def __repr__(self) -> str:
        return f"ResidualGraph({len(self.senders)} senders, {len(self.receivers)} receivers, {sum(self.reaching)} edges)"


@dataclasses.dataclass(frozen=True, eq=False)
class Circuit:
    """A set of edges of a residual graph. A notebook shows it as a drawing.

    mask    [sender, receiver]: which edges are in it
    scores  [sender, receiver]: what they were chosen by; None where nothing is known
    """

    graph: ResidualGraph
    mask: np.ndarray
    scores: np.ndarray | None = None

    @property
    def edges(self) -> list[str]:
        """Its edges, receiver by receiver: "a0.h1->m0"."""
        return [f"{self.graph.senders[s]}->{self.graph.receivers[r]}" for r, s in zip(*np.nonzero(self.mask.T))]

    @property
    def nodes(self) -> list[str]:
        """The senders with an edge in it."""
        return [sender for sender, has in zip(self.graph.senders, self.mask.any(1)) if has]

    def complement(self) -> "Circuit":
        """The edges that are not in it."""
        return Circuit(self.graph, self.graph.all().mask & ~self.mask, self.scores)

    def without(self, *nodes: str) -> "Circuit":
        """Without anything that some nodes write."""
        for node in nodes:
            if node not in self.graph.senders:
                raise unknown("UNKNOWN_SENDER", "sender", node, self.graph.senders)
        return Circuit(self.graph, self.mask & np.array([sender not in nodes for sender in self.graph.senders])[:, None], self.scores)

    def records(self) -> list[dict[str, Any]]:
        """A dict per edge in it."""
        return [{"sender": self.graph.senders[s], "receiver": self.graph.receivers[r],
                 "score": None if self.scores is None else float(self.scores[s, r])} for r, s in zip(*np.nonzero(self.mask.T))]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def to_json(self) -> str:
        """Text in the layout of EAP-IG's Graph.to_json: every node and edge, its score, and whether it is in the circuit."""
        edges = {f"{self.graph.senders[s]}->{receiver}": {"score": 0.0 if self.scores is None else float(self.scores[s, r]),
                                                          "in_graph": bool(self.mask[s, r])}
                 for r, receiver in enumerate(self.graph.receivers) for s in range(self.graph.reaching[r])}
        writes = self.mask.any(1)
        nodes = {sender: {"in_graph": bool(writes[s])} for s, sender in enumerate(self.graph.senders)}
        return json.dumps({"cfg": self.graph.cfg, "nodes": {**nodes, "logits": {"in_graph": True}}, "edges": edges})

    def save(self, path: Any) -> None:
        """Writes to_json() to a file."""
        Path(path).write_text(self.to_json())

    @staticmethod
    def load(model: Any, source: Any) -> "Circuit":
        """A circuit of a model from such a file, or its text. Edges that it does not name are not in it."""
        text = source if isinstance(source, str) and source.lstrip().startswith("{") else Path(source).read_text()
        graph = ResidualGraph.of(model)
        try:
            told = json.loads(text)
            shape, named = told["cfg"], {edge: (bool(of["in_graph"]), float(of.get("score", 0))) for edge, of in told["edges"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidArgumentError("CIRCUIT_FILE", f"This is no circuit: {error}") from error
        for name in ("n_layers", "n_heads", "d_model"):
            if shape.get(name, graph.cfg[name]) != graph.cfg[name]:
                raise InvalidArgumentError("CIRCUIT_FILE", f"The circuit is of a model with {name} = {shape[name]}; this one has "
                                           f"{graph.cfg[name]}.")
        mask, scores = np.zeros((len(graph.senders), len(graph.receivers)), bool), np.zeros((len(graph.senders), len(graph.receivers)))
        for edge, (contained, score) in named.items():
            at = graph.place(edge)
            mask[at], scores[at] = contained, score
        return Circuit(graph, mask, scores)

    def __len__(self) -> int:
        return int(self.mask.sum())

    def __contains__(self, edge: str) -> bool:
        return bool(self.mask[self.graph.place(edge)])

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Circuit) and self.graph == other.graph and np.array_equal(self.mask, other.mask)

    def _repr_html_(self) -> str:
        return drawing.circuit(self)

    def __repr__(self) -> str:
        return f"Circuit({len(self)} of {sum(self.graph.reaching)} edges, {len(self.nodes)} nodes)"
