"""Heads' circuits from weights: eigenvalues, composition, virtual heads, largest entries (Elhage et al. 2021)."""

from __future__ import annotations

import dataclasses
from typing import Any, Sequence

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._circuits import drawing
from interopinterp._labelled import Labelled, by_head
from interopinterp._model import inputs
from interopinterp._patching import tables
from interopinterp._plan import PlanScope
from interopinterp.errors import InvalidArgumentError
from interopinterp.FactoredMatrix import FactoredMatrix

_CIRCUITS = {"OV": pb.HEAD_CIRCUIT_OV, "QK": pb.HEAD_CIRCUIT_QK}
_KINDS = {"Q": pb.COMPOSITION_KIND_Q, "K": pb.COMPOSITION_KIND_K, "V": pb.COMPOSITION_KIND_V}
_PLOTTED = 48


@dataclasses.dataclass(frozen=True)
class Eigenvalues:
    """The eigenvalues of heads' circuits from tokens to tokens. A notebook shows those of each head in the plane.

    circuit     "OV" (W_E W_V W_O W_U) or "QK" (W_E W_Q W_K^T W_E^T)
    values      complex [layer, head, d_head]
    positivity  [layer, head]: the sum of their real parts by that of their magnitudes, -1 to 1
    """

    circuit: str
    values: np.ndarray
    positivity: Labelled

    @property
    def copying(self) -> Labelled:
        """The copying score of OV circuits: positive eigenvalues are evidence of copying, no proof."""
        if self.circuit != "OV":
            raise InvalidArgumentError("NOT_OV", f"Copying is read off OV circuits; these are of {self.circuit}: see positivity.")
        return self.positivity

    def records(self) -> list[dict[str, Any]]:
        """A dict per eigenvalue."""
        return [{"layer": at[0], "head": at[1], "index": at[2], "real": float(value.real), "imaginary": float(value.imag)}
                for at, value in np.ndenumerate(self.values)]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return np.asarray(self.values, dtype)

    def _repr_html_(self) -> str:
        scores = np.asarray(self.positivity)
        order = np.argsort(-np.abs(scores), axis=None, kind="stable")[:_PLOTTED]
        heads = [np.unravel_index(at, scores.shape) for at in sorted(order)]
        plots = "".join(drawing.scatter(self.values[layer, head], f"L{layer}H{head}: {scores[layer, head]:.2f}") for layer, head in heads)
        return f"{self.positivity._repr_html_()}<div style='display:flex;flex-wrap:wrap'>{plots}</div>"

    def __repr__(self) -> str:
        layers, heads, width = self.values.shape
        return f"Eigenvalues({self.circuit}, {layers} layers, {heads} heads, {width} each)"


@dataclasses.dataclass(frozen=True, repr=False)
class CompositionScores(Labelled):
    """How much each head reads from each head of an earlier layer: [layer, head, later layer, later head], 0 elsewhere.

    baseline, deviation  the mean and spread of what unrelated heads of the model's shape score: not 0
    """

    baseline: float = 0.0
    deviation: float = 0.0

    def excess(self) -> Labelled:
        """How many of its spreads each score lies above the baseline; 0 where no head comes before."""
        values = np.asarray(self)
        return Labelled(f"{self.name} above unrelated heads", self.labels,
                        np.where(values == 0, 0, (values - self.baseline) / self.deviation))

    def heatmaps(self) -> list[Any]:
        """One map: earlier heads down, later ones across."""
        heads = [f"L{layer}H{head}" for layer in self.labels["layer"] for head in self.labels["head"]]
        flat = np.asarray(self).reshape(len(heads), len(heads))
        title = f"{self.name} (unrelated: {self.baseline:.3g} ± {self.deviation:.2g})"
        return tables.heatmaps(flat, {"earlier": heads, "later": heads}, title)

    def _repr_html_(self) -> str:
        layers, heads = self.shape[:2]
        return tables.page(self.heatmaps()) if tables.fits((layers * heads,) * 2) else super()._repr_html_()


@dataclasses.dataclass(frozen=True)
class VirtualHead:
    """Heads in a row, each reading the values that the one before wrote: they act as one.

    heads    (layer, head), earliest first
    OV       OV_1 ... OV_n, [d_model, d_model]
    pattern  A_n ... A_1, [batch, query, key]; None where no input was given
    """

    heads: tuple[tuple[int, int], ...]
    OV: FactoredMatrix
    pattern: Any

    def __repr__(self) -> str:
        return f"VirtualHead({' -> '.join(f'L{layer}H{head}' for layer, head in self.heads)})"


def eigenvalues(model: Any, circuit: str = "OV") -> Eigenvalues:
    """Eigenvalues of each head's circuit from tokens to tokens; norms count as folded, rotary positions are not in QK.

    circuit  "OV" or "QK"
    """
    found = _call(model, pb.GetEigenvaluesRequest(model=model._name, circuit=tables.choice(_CIRCUITS, "circuit", circuit)))
    real, imaginary, positivity = (arrays.to_numpy(model.transport.take(part)) for part in (found.real, found.imaginary, found.positivity))
    return Eigenvalues(circuit, real + 1j * imaginary, by_head(model, f"positive eigenvalues of {circuit}", positivity))


def composition(model: Any, kind: str, *, samples: int = 32, seed: int = 0) -> CompositionScores:
    """||W_OV X|| / (||W_OV|| ||X||), X of the later head, beside what unrelated heads score.

    kind     "Q", "K" or "V": what of the later head reads
    samples  pairs of random heads that the baseline is taken over
    """
    found = _call(model, pb.ScoreCompositionRequest(
        model=model._name, kind=tables.choice(_KINDS, "kind", kind), samples=samples, seed=seed))
    layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
    return CompositionScores(f"{kind}-composition", {"layer": layers, "head": heads, "later_layer": layers, "later_head": heads},
                             model.transport.take(found.scores), found.baseline_mean, found.baseline_deviation)


def virtual_head(model: Any, heads: Sequence[tuple[int, int]], input: Any = None) -> VirtualHead:
    """Heads of rising layers as one: its OV circuit and, on an input, its pattern.

    heads  (layer, head), earliest first
    input  token ids [batch, pos] or texts, of one length; None: no pattern
    """
    request = pb.GetVirtualHeadRequest(model=model._name, heads=_heads(heads))
    with model.transport.loans() as loans:
        if input is not None:
            PlanScope(model, loans, request.plan).run(inputs.read(model, input)).hooks()
        found = _call(model, request)
    take = model.transport.take
    pattern = take(found.pattern) if found.HasField("pattern") else None
    return VirtualHead(tuple(tuple(head) for head in heads), FactoredMatrix(take(found.a), take(found.b)), pattern)


def top_entries(model: Any, heads: Any, circuit: str = "OV", k: int = 20) -> list[dict[str, Any]]:
    """The largest entries of a head's circuit from tokens to tokens: dicts of two tokens and their value, largest first.

    heads    (layer, head); of "OV" also several as a virtual head
    circuit  "OV": source token and the token it makes likelier; "QK": the token that attends and the one attended to
    """
    given = [heads] if isinstance(heads[0], (int, np.integer)) else heads
    found = _call(model, pb.ListTopEntriesRequest(
        model=model._name, circuit=tables.choice(_CIRCUITS, "circuit", circuit), heads=_heads(given), count=k))
    first, second = ("source", "out") if circuit == "OV" else ("query", "key")
    return [{first: one.row, second: one.column, "value": one.value} for one in found.entries]


def _heads(heads: Sequence[tuple[int, int]]) -> list[Any]:
    return [pb.HeadName(layer=int(layer), head=int(head)) for layer, head in heads]


def _call(model: Any, request: Any) -> Any:
    model.check_weights()
    return model.transport.call(request)
