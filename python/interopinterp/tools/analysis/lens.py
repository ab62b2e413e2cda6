"""The logit lens: what the model would predict if its residual stream were unembedded early."""

from __future__ import annotations

import dataclasses
import html
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._patching.tables import frame
from interopinterp._plan import PlanScope
from interopinterp._selection import positions as positions_of
from interopinterp.errors import FailedPreconditionError, InvalidArgumentError, unknown
from interopinterp.metrics import token_ids
from interopinterp.tools.analysis.tuned_lens import TunedLens

_RETURNED = ("logits", "log_probs", "probs")


@dataclasses.dataclass(frozen=True)
class LogitLensResult:
    """What a lens saw; all arrays start with [stream, batch, pos], the last stream being the model's own output.

    labels            "0_pre", "0_mid", ..., "final_post"
    entropy           of each prediction, in nats
    kl_to_final       KL(final || stream), in nats
    targets           the tokens asked for, per row; None where none were
    target_logits, target_log_probs, target_ranks   [..., target]; the rank counts the tokens that are likelier
    top_ids, top_log_probs                          [..., k], best first; None where top_k is 0
    values            [..., d_vocab], what return_type asked for
    """

    labels: list[str]
    entropy: Any
    kl_to_final: Any
    targets: list[list[int]] | None
    target_logits: Any
    target_log_probs: Any
    target_ranks: Any
    top_ids: Any
    top_log_probs: Any
    values: Any
    _model: Any

    def rank_trajectory(self, target: int = 0) -> np.ndarray:
        """How many tokens are likelier than a target, stream by stream [stream, batch, pos]."""
        if self.target_ranks is None:
            raise FailedPreconditionError("NO_TARGETS", "The lens was asked for no targets: logit_lens(model, input, targets=[...]).")
        return arrays.to_numpy(self.target_ranks)[..., target]

    def top_tokens(self) -> list[list[list[list[str]]]]:
        """The likeliest tokens as texts [stream][batch][pos][k]."""
        if self.top_ids is None:
            raise FailedPreconditionError("NO_TOP_TOKENS", "The lens was asked for no top tokens: top_k is 0.")
        ids = arrays.to_numpy(self.top_ids)
        texts = {int(one): self._model.to_string([int(one)]) for one in np.unique(ids)}
        return [[[[texts[int(one)] for one in place] for place in row] for row in stream] for stream in ids]

    def records(self) -> list[dict[str, Any]]:
        """A dict per stream, row and position: entropy, distance to the end, the likeliest token, and the targets' ranks."""
        columns = {"entropy": self.entropy, "kl_to_final": self.kl_to_final}
        if self.top_ids is not None:
            columns.update(top_id=self.top_ids[..., 0], top_log_prob=self.top_log_probs[..., 0])
        if self.target_ranks is not None:
            for target in range(self.target_ranks.shape[-1]):
                columns.update({f"rank_{target}": self.target_ranks[..., target], f"log_prob_{target}": self.target_log_probs[..., target]})
        columns = {name: arrays.to_numpy(column) for name, column in columns.items()}
        return [{"stream": self.labels[at[0]], "row": at[1], "pos": at[2], **{name: column[at].item() for name, column in columns.items()}}
                for at in np.ndindex(*self.entropy.shape)]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return frame(self.records())

    def _repr_html_(self) -> str:
        if self.top_ids is None or self._model.tokenizer is None:
            return html.escape(repr(self))
        best, probs = self.top_tokens(), np.exp(arrays.to_numpy(self.top_log_probs)[..., 0])
        lines = []
        for stream, label in reversed(list(enumerate(self.labels))):
            cells = "".join(f"<td title='{probs[stream, 0, pos]:.3g}'>{html.escape(repr(place[0])[1:-1])}</td>"
                            for pos, place in enumerate(best[stream][0]))
            lines.append(f"<tr><th>{label}</th>{cells}</tr>")
        return f"<table><caption>likeliest tokens, row 0</caption>{''.join(lines)}</table>"

    def __repr__(self) -> str:
        return f"LogitLensResult({len(self.labels)} streams, {self.entropy.shape[1]} rows, {self.entropy.shape[2]} positions)"


def logit_lens(
    model: Any, input: Any, *, targets: Any = None, top_k: int = 5, positions: Any = -1, incl_mid: bool = False,
    return_type: str | None = None, tuned_lens: str | TunedLens = "",
) -> LogitLensResult:
    """Unembeds every residual stream (nostalgebraist 2020); only what is asked for leaves the engine.

    input        token ids [batch, pos] or texts; hooks and SAEs that stand in the model run
    targets      tokens whose logits and ranks are wanted: ids or texts of one token for all rows, or a list of such lists, one per row
    top_k        how many of the likeliest tokens are named
    positions    an int, a list, a slice or (start, stop); None: all. Negative ones count from each row's own end
    incl_mid     also the streams between attention and MLP
    return_type  "logits", "log_probs" or "probs" of the whole vocabulary, as values; None: not
    tuned_lens   a TunedLens, or a file of its translators (safetensors); over gRPC a file is below the server's model roots
    """
    if return_type not in (None, *_RETURNED):
        raise unknown("UNKNOWN_RETURN_TYPE", "return_type", str(return_type), _RETURNED)
    lists = _lists(model, targets)
    model.check_weights()
    with model.transport.loans() as loans:
        request = pb.ReadLensRequest(model=model._name)
        if isinstance(tuned_lens, TunedLens):
            for name, translator in tuned_lens.translators.items():
                request.translators[name].CopyFrom(loans.tensor(translator))
        else:
            request.tuned_lens = str(tuned_lens)
        PlanScope(model, loans, request.plan).run(inputs.read(model, input)).hooks()
        options = request.options
        options.positions.CopyFrom(positions_of(positions) or pb.Positions(slice=pb.Slice()))
        options.tokens.extend(pb.IndexList(values=one) for one in lists)
        options.top_k, options.include_middle, options.keep_logits = top_k, incl_mid, return_type is not None
        response = model.transport.call(request)

    def take(name: str) -> Any:
        return model.transport.take(getattr(response, name)) if response.HasField(name) else None

    values = take("logits")
    if return_type in ("log_probs", "probs"):
        values = _normalized(arrays.to_numpy(values), return_type)
    return LogitLensResult(
        list(response.labels), take("entropy"), take("kl_to_final"), lists or None, take("token_logits"), take("token_log_probs"),
        take("token_ranks"), take("top_tokens"), take("top_log_probs"), values, model)


def _lists(model: Any, targets: Any) -> list[list[int]]:
    if targets is None:
        return []
    rows = targets if isinstance(targets, (list, tuple)) else [targets] if isinstance(targets, (str, int)) else arrays.to_numpy(targets)
    nested = [isinstance(row, (list, tuple)) or arrays.is_array(row) and row.ndim > 0 for row in rows]
    if any(nested) and not all(nested):
        raise InvalidArgumentError("LENS_TOKENS", "The targets are lists and single tokens mixed: give a list for all rows, or one per row.")
    return [token_ids(model, row) for row in rows] if any(nested) else [token_ids(model, rows)]


def _normalized(logits: np.ndarray, return_type: str) -> Any:
    shifted = logits - logits.max(-1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return arrays.from_numpy(log_probs if return_type == "log_probs" else np.exp(log_probs))
