"""Direct logit attribution: what components write towards a logit, through no other component."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._patching import tables
from interopinterp._plan import PlanScope
from interopinterp._selection import positions
from interopinterp.errors import InvalidArgumentError, UnimplementedError, unknown
from interopinterp.metrics import token_ids

_UNITS = {
    "component": pb.ATTRIBUTION_UNIT_COMPONENT, "layer": pb.ATTRIBUTION_UNIT_LAYER, "head": pb.ATTRIBUTION_UNIT_HEAD,
    "neuron": pb.ATTRIBUTION_UNIT_NEURON}


@dataclasses.dataclass(frozen=True)
class DirectLogitAttribution:
    """What each component adds to a logit, or to the difference of two. numpy reads it as its attribution.

    attribution  [component, batch, pos], in logits (before a soft cap); but for unit "layer", which is cumulative, it sums to the logit
    labels       a name per component; "b_U", the last, is what the model adds whatever the text
    unit         "component", "layer", "head" or "neuron"
    """

    attribution: Any
    labels: list[str]
    unit: str

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return np.asarray(arrays.to_numpy(self.attribution), dtype)

    def top(self, k: int = 10) -> list[tuple[str, float]]:
        """The k components of largest absolute mean over rows and positions: (label, mean)."""
        means = np.asarray(self, np.float64).mean((1, 2))
        return [(self.labels[at], float(means[at])) for at in np.argsort(-np.abs(means), kind="stable")[:k]]

    def records(self) -> list[dict[str, Any]]:
        """A dict per component, row and position."""
        values = np.asarray(self)
        return [{"component": self.labels[at[0]], "row": at[1], "pos": at[2], "attribution": float(values[at])}
                for at in np.ndindex(*values.shape)]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def _repr_html_(self) -> str:
        return tables.listing(f"direct logit attribution by {self.unit}", self.top(tables.LISTED))

    def __repr__(self) -> str:
        return f"DirectLogitAttribution({self.unit}, {len(self.labels)} components)"


def direct_logit_attribution(
    model: Any, input: Any = None, answer_tokens: Any = None, incorrect_tokens: Any = None, *, unit: str = "component", pos: Any = -1,
    cache: Any = None,
) -> DirectLogitAttribution:
    """What components add to the logit of answer_tokens, or to its difference to incorrect_tokens.

    input            token ids [batch, pos] or texts; hooks and SAEs that stand in the model run
    answer_tokens, incorrect_tokens   ids or texts of one token, one per row or one for all
    unit             "component": embeddings, and what attention and MLP of each block add; "layer": the stream before each block, cumulative;
                     "head"; "neuron"
    pos              where: an int, a list, a slice or (start, stop); None: everywhere
    cache            not taken: the engine keeps what it needs of its own run. cache.logit_attrs works on a cache
    """
    if cache is not None:
        raise UnimplementedError("NOT_OFFERED", "direct_logit_attribution(cache=...): give the input, of which the engine keeps what it needs; "
                                 "or use cache.logit_attrs(cache.decompose_resid(...), answer_tokens, incorrect_tokens).")
    if unit not in _UNITS:
        raise unknown("UNKNOWN_UNIT", "unit", unit, _UNITS)
    if input is None or answer_tokens is None:
        raise InvalidArgumentError("ATTRIBUTION_TOKENS", "direct_logit_attribution needs an input and answer_tokens.")
    model.check_weights()
    with model.transport.loans() as loans:
        request = pb.AttributeLogitsRequest(model=model._name)
        PlanScope(model, loans, request.plan).run(inputs.read(model, input)).hooks()
        told = request.attribution
        told.tokens.extend(token_ids(model, answer_tokens))
        if incorrect_tokens is not None:
            told.incorrect.extend(token_ids(model, incorrect_tokens))
        told.unit = _UNITS[unit]
        told.positions.CopyFrom(positions(pos) or pb.Positions(slice=pb.Slice()))
        response = model.transport.call(request)
    return DirectLogitAttribution(model.transport.take(response.values), list(response.labels), unit)
