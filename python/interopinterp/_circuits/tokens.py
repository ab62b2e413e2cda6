"""Tables of tokens from weights: bigrams and skip-trigrams; and what terms of a model are worth (Elhage et al. 2021)."""

from __future__ import annotations

import dataclasses
import html
from typing import Any

import numpy as np

from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._patching import tables
from interopinterp.metrics import token_ids


class TokenTable(list):
    """Dicts, one per line. A notebook shows them as a table, tokens as texts where the model has a tokenizer."""

    def __init__(self, lines: list[dict[str, Any]], model: Any, columns: tuple[str, ...]):
        super().__init__(lines)
        self._model, self._columns = model, columns

    def to_dataframe(self) -> Any:
        """The lines as a pandas table."""
        return tables.frame(list(self))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(column)}</th>" for column in self[0]) if self else ""
        lines = "".join("<tr>" + "".join(f"<td>{html.escape(self._shown(column, value))}</td>" for column, value in line.items()) + "</tr>"
                        for line in self[:tables.LISTED])
        more = f"<caption>the first {tables.LISTED} of {len(self)}</caption>" if len(self) > tables.LISTED else ""
        return f"<table>{more}<tr>{head}</tr>{lines}</table>"

    def _shown(self, column: str, value: Any) -> str:
        if column in self._columns:
            return repr(self._model.to_string([value])) if self._model.tokenizer is not None else str(value)
        return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclasses.dataclass(frozen=True)
class SkipTrigram:
    """What a head does with a source token: [source] ... [destination] -> [out].

    destinations  (token, score) of those that attend to it most; scores compare within one destination
    outs          (token, logit less the mean logit) of those it makes likelier
    """

    source: int
    destinations: list[tuple[int, float]]
    outs: list[tuple[int, float]]


@dataclasses.dataclass(frozen=True)
class TermImportance:
    """What paths through at most n heads are worth, patterns frozen as in the whole run.

    losses     entry n: the mean next-token loss in nats where logits come from paths through at most n attention layers
    marginals  what the direct path takes off a uniform guess, then what each further order takes off
    """

    losses: np.ndarray
    marginals: np.ndarray

    def records(self) -> list[dict[str, Any]]:
        """A dict per order."""
        return [{"order": n, "loss": float(loss), "marginal": float(marginal)}
                for n, (loss, marginal) in enumerate(zip(self.losses, self.marginals))]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def _repr_html_(self) -> str:
        return tables.listing("nats that paths through n heads take off the loss",
                              [(f"order {one['order']}", one["marginal"]) for one in self.records()])


def bigrams(model: Any, tokens: Any = None, top: int = 5, pos: int | None = None) -> TokenTable:
    """The direct path from tokens to logits: lines of a token, a likely successor and its log-probability in nats.

    tokens  ids or texts of one token; None: the whole vocabulary
    top     successors of each
    pos     where the token stands, if its position is to be added
    """
    request = pb.ListBigramsRequest(model=model._name, tokens=[] if tokens is None else token_ids(model, tokens), top=top, position=pos)
    found = _call(model, request).bigrams
    return TokenTable([{"token": one.token, "next": to.token, "log_prob": to.score} for one in found for to in one.next], model,
                      ("token", "next"))


def skip_trigrams(model: Any, head: int, sources: Any = None, top: int = 5) -> list[SkipTrigram]:
    """Skip-trigrams of a head of the first layer: all that a one-layer model knows beside bigrams. Positions and norms are left out.

    sources  ids or texts of one token; None: those of the strongest OV entries
    top      destinations and outs of each
    """
    ids = [] if sources is None else token_ids(model, sources)
    request = pb.ListSkipTrigramsRequest(model=model._name, head=head, sources=ids, top=top)
    return [SkipTrigram(one.source, [(to.token, to.score) for to in one.destinations], [(to.token, to.score) for to in one.outs])
            for one in _call(model, request).trigrams]


def term_importance(model: Any, tokens: Any) -> TermImportance:
    """How much of an attention-only model's loss is due to paths through no head, one head, two, ...

    tokens  token ids [batch, pos] or texts, of one length
    """
    given = inputs.read(model, tokens)
    plan = pb.Plan()
    with model.transport.loans() as loans:
        given.write(plan, loans)
    found = _call(model, pb.MeasureTermsRequest(model=model._name, rows=plan.rows))
    return TermImportance(np.array(found.losses), np.array(found.marginals))


def _call(model: Any, request: Any) -> Any:
    model.check_weights()
    return model.transport.call(request)
