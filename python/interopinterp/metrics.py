"""Metrics as data: computed by the engine from the logits it needs, in process and over gRPC alike. Of several rows the mean counts."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp.errors import InvalidArgumentError

__all__ = ["Metric", "log_prob", "logit_diff", "loss"]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric as data; the functions of this module make them. Tokens are ids or texts of one token, one per row or one for all."""

    name: str
    tokens: dict[str, Any]
    position: int | None = None

    def to_proto(self, model: Any) -> pb.Metric:
        """The metric as a request holds it; texts become ids of the model's tokenizer."""
        values = {name: _ids(model, given) for name, given in self.tokens.items()}
        if self.position is not None:
            values["position"] = self.position
        kind = {"logit_diff": pb.LogitDiffMetric, "log_prob": pb.LogProbMetric, "loss": pb.LossMetric}[self.name]
        return pb.Metric(**{self.name: kind(**values)})


def logit_diff(correct: Any, incorrect: Any, position: int = -1) -> Metric:
    """logit(correct) - logit(incorrect) at a position (Wang et al. 2022). Negative positions count from the row's own end."""
    return Metric("logit_diff", {"correct": correct, "incorrect": incorrect}, position)


def log_prob(tokens: Any, position: int = -1) -> Metric:
    """The log-probability of a token at a position, in nats."""
    return Metric("log_prob", {"tokens": tokens}, position)


def loss() -> Metric:
    """The mean next-token cross-entropy of each row, in nats. Padding does not count."""
    return Metric("loss", {})


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


def _ids(model: Any, given: Any) -> list[int]:
    items = [given] if isinstance(given, (str, int)) else list(given) if isinstance(given,
                                                                                    (list, tuple)) else np.ravel(arrays.to_numpy(given))
    return [model.to_single_token(item) if isinstance(item, str) else int(item) for item in items]
