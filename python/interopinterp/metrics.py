"""Metrics as data: computed by the engine from the logits it needs, in process and over gRPC alike. Of several rows the mean counts."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp.errors import InvalidArgumentError, unknown

__all__ = ["Metric", "accuracy", "kl_divergence", "log_prob", "logit_diff", "loss", "prob", "rank", "weighted"]
_KINDS = {
    "logit_diff": pb.LogitDiffMetric, "log_prob": pb.LogProbMetric, "loss": pb.LossMetric, "prob": pb.ProbMetric,
    "kl_divergence": pb.KlDivergenceMetric, "accuracy": pb.AccuracyMetric, "rank": pb.RankMetric, "weighted": pb.WeightedMetric}
_MEASURES = {"logit": pb.TOKEN_MEASURE_LOGIT, "log_prob": pb.TOKEN_MEASURE_LOG_PROB, "prob": pb.TOKEN_MEASURE_PROB}


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric as data; the functions of this module make them. Tokens are ids or texts of one token, one per row or one for all."""

    name: str
    tokens: dict[str, Any]
    position: int | None = None
    reference: Any = None
    weights: Any = None
    of: str | None = None

    def to_proto(self, model: Any, loans: Any) -> pb.Metric:
        """The metric as a request holds it: texts become ids of the model's tokenizer, loans lends the reference."""
        values = {name: token_ids(model, given) for name, given in self.tokens.items()}
        if self.position is not None:
            values["position"] = self.position
        if self.reference is not None:
            values["reference"] = loans.tensor(self.reference)
        if self.weights is not None:
            values["weights"], values["of"] = loans.tensor(self.weights), _MEASURES[self.of]
        return pb.Metric(**{self.name: _KINDS[self.name](**values)})


def logit_diff(correct: Any, incorrect: Any, position: int = -1) -> Metric:
    """logit(correct) - logit(incorrect) at a position (Wang et al. 2022). Negative positions count from the row's own end."""
    return Metric("logit_diff", {"correct": correct, "incorrect": incorrect}, position)


def log_prob(tokens: Any, position: int = -1) -> Metric:
    """The log-probability of a token at a position, in nats."""
    return Metric("log_prob", {"tokens": tokens}, position)


def loss() -> Metric:
    """The mean next-token cross-entropy of each row, in nats. Padding does not count."""
    return Metric("loss", {})


def prob(tokens: Any, position: int = -1) -> Metric:
    """The probability of a token at a position."""
    return Metric("prob", {"tokens": tokens}, position)


def kl_divergence(reference: Any, position: int = -1) -> Metric:
    """KL(reference || run) of the next-token distributions at a position, in nats (ACDC's metric: Conmy et al. 2023).

    reference  logits of the run to stay close to: [batch, d_vocab] there, or [batch, pos, d_vocab] of rows of equal length
    """
    if not arrays.is_array(reference) or reference.ndim not in (2, 3):
        shape = f" {list(reference.shape)}" if hasattr(reference, "shape") else ""
        raise InvalidArgumentError("METRIC_REFERENCE", f"The reference is a {type(reference).__name__}{shape}; logits [batch, d_vocab] or "
                                   "[batch, pos, d_vocab] are expected: those of the clean run.")
    return Metric("kl_divergence", {}, position, reference if reference.ndim == 2 else reference[:, position])


def accuracy(tokens: Any, position: int = -1) -> Metric:
    """1 where the token is the likeliest at a position, else 0. It has no gradient."""
    return Metric("accuracy", {"tokens": tokens}, position)


def rank(tokens: Any, position: int = -1) -> Metric:
    """How many tokens are likelier than this one at a position. It has no gradient."""
    return Metric("rank", {"tokens": tokens}, position)


def weighted(tokens: Any, weights: Any, of: str = "logit", position: int = -1) -> Metric:
    """An objective of one's own: the weighted sum over some tokens of their logits, log-probabilities or probabilities at a position.

    tokens   ids or texts of one token, each once
    weights  [tokens], or [batch, tokens] where rows differ: +1 for later years and -1 for others is "greater than" (Hanna et al. 2023)
    of       "logit", "log_prob" or "prob"
    """
    if of not in _MEASURES:
        raise unknown("UNKNOWN_MEASURE", "measure of tokens", of, _MEASURES)
    array = np.atleast_2d(np.asarray(arrays.to_numpy(weights) if arrays.is_array(weights) else weights, np.float32))
    return Metric("weighted", {"tokens": tokens}, position, weights=array, of=of)


def scalar(value: Any, function: Callable) -> float:
    """What a metric function returned, as one number; anything else is refused by its shape."""
    if arrays.is_array(value):
        array = arrays.to_numpy(value)
        if array.size == 1 and array.dtype.kind in "fiub":
            return float(array.reshape(()))
        returned = f"an array of shape {list(array.shape)}"
    elif isinstance(value, (int, float)):
        return float(value)
    else:
        returned = f"a {type(value).__name__}"
    name = getattr(function, "__name__", type(function).__name__)
    raise InvalidArgumentError(
        "METRIC_NOT_A_NUMBER",
        f"The metric {name} returned {returned}; one number is expected. Average over rows (.mean()) if it is one per row.")


def token_ids(model: Any, given: Any) -> list[int]:
    """Ids of an id, a text of one token, or several of them."""
    items = [given] if isinstance(given, (str, int)) else list(given) if isinstance(given,
                                                                                    (list, tuple)) else np.ravel(arrays.to_numpy(given))
    return [model.to_single_token(item) if isinstance(item, str) else int(item) for item in items]
