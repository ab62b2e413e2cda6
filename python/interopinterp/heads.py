"""What heads attend to, told by their patterns; the patterns stay in the engine."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._labelled import Labelled, by_head
from interopinterp._model import inputs
from interopinterp._patching import tables
from interopinterp._plan import PlanScope
from interopinterp._selection import positions
from interopinterp.errors import InvalidArgumentError
from interopinterp.head_detector import detect_head

__all__ = ["HeadScores", "detect_head", "score_heads", "weighted_attention"]
_BY = {"output": pb.WEIGHTED_BY_OUTPUT, "value": pb.WEIGHTED_BY_VALUE}
_SCORES = ("previous_token", "duplicate_token", "induction", "prefix_matching", "copying")


@dataclasses.dataclass(frozen=True)
class HeadScores:
    """What heads do on tokens that repeat; each [layer, head], 0 to 1.

    previous_token   attention to the token before
    duplicate_token  to the same token one period before
    induction        to the token that followed the same token one period before (Olsson et al. 2022)
    prefix_matching  the same over several repetitions
    copying          of what attending to a token adds to the logits of the text's tokens, the share on that very token
    """

    previous_token: Labelled
    duplicate_token: Labelled
    induction: Labelled
    prefix_matching: Labelled
    copying: Labelled

    def records(self) -> list[dict[str, Any]]:
        """A dict per head."""
        arrays_of = {name: np.asarray(getattr(self, name)) for name in _SCORES}
        return [{"layer": at[0], "head": at[1], **{name: float(values[at]) for name, values in arrays_of.items()}}
                for at in np.ndindex(*self.induction.shape)]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def _repr_html_(self) -> str:
        return tables.page([one for name in _SCORES for one in getattr(self, name).heatmaps()])


def score_heads(model: Any, segments: Any, *, start: int | None = None, repeats: int = 4) -> HeadScores:
    """What heads do on repeated tokens, averaged over segments.

    segments  token ids [batch, pos]: random, and no token twice in a segment; the engine repeats them
    start     the token in front of them (BOS); None: none
    repeats   how often prefix matching has the segment
    """
    ids = inputs.token_ids(segments, "segments")
    model.check_weights()
    found = model.transport.call(pb.ScoreHeadsRequest(
        model=model._name, segments=[pb.IndexList(values=row) for row in ids.tolist()], start=start, repeats=repeats))
    return HeadScores(*(by_head(model, name, arrays.to_numpy(model.transport.take(getattr(found, name)))) for name in _SCORES))


def weighted_attention(model: Any, input: Any, layers: Any = None, by: str = "output") -> Labelled:
    """Attention times the length of what is moved (Kobayashi et al. 2020): [layer, row, head, query, key].

    input   token ids [batch, pos] or texts, of one length; hooks and SAEs that stand in the model run
    layers  which: an int, a list, a slice; None: all
    by      "output": ||v W_O||, what reaches the residual stream; "value": ||v||
    """
    model.check_weights()
    given = inputs.read(model, input)
    if len({len(row) for row in given.rows}) > 1:
        raise InvalidArgumentError("ROWS_RAGGED", "Attention of several texts is given for texts of one length.")
    with model.transport.loans() as loans:
        request = pb.WeighAttentionRequest(model=model._name, by=tables.choice(_BY, "by", by))
        PlanScope(model, loans, request.plan).run(given).hooks()
        if (chosen := positions(layers)) is not None:
            request.layers.CopyFrom(chosen)
        found = model.transport.call(request)
    places = range(len(given.rows[0]))
    labels = {"layer": list(found.layers), "row": range(len(given.rows)), "head": range(model.cfg.n_heads), "query": places, "key": places}
    return Labelled(f"attention by {by}", labels, model.transport.take(found.weights))
