"""What a stream gathers at a hook point. A probe takes one of each kind."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from interopinterp import _pb as pb
from interopinterp.errors import InvalidArgumentError


def mean() -> pb.Statistic:
    """"mean" [unit] and "count", over all tokens."""
    return pb.Statistic(moments=pb.MomentsStatistic(up_to=pb.MOMENT_MEAN))


def variance() -> pb.Statistic:
    """"variance" [unit] (divided by the count), and what mean() gives."""
    return pb.Statistic(moments=pb.MomentsStatistic(up_to=pb.MOMENT_VARIANCE))


def covariance() -> pb.Statistic:
    """"covariance" [width, width] (divided by the count), and what variance() gives."""
    return pb.Statistic(moments=pb.MomentsStatistic(up_to=pb.MOMENT_COVARIANCE))


def by_position(variance: bool = False) -> pb.Statistic:
    """"position_count" [pos], "position_mean" and, if asked for, "position_variance" [pos, unit]."""
    return pb.Statistic(position_moments=pb.PositionMomentsStatistic(with_variance=variance))


def histogram(low: Any, high: float | None = None, bins: int = 50) -> pb.Statistic:
    """"histogram" [unit, bins], "histogram_below" and "histogram_above" [unit], "histogram_edges": counts as numpy.histogram's.

    low, high, bins  bins of equal width; or low is the list of edges
    """
    edges = np.linspace(low, high, bins + 1) if high is not None else np.asarray(low, np.float64)
    if edges.ndim != 1:
        raise InvalidArgumentError("HISTOGRAM_EDGES", "histogram takes low, high and bins, or a list of edges.")
    return pb.Statistic(histogram=pb.HistogramStatistic(edges=edges.tolist()))


def firing(above: float = 0.0) -> pb.Statistic:
    """"firing_count" [unit]: at how many tokens it is above a threshold; "firing_mean" [unit]: its mean there; "firing_tokens"."""
    return pb.Statistic(firing=pb.FiringStatistic(above=above))


def top(k: int = 10, before: int = 10, after: int = 5, above: float | None = None, one_per_row: bool = False) -> pb.Statistic:
    """The tokens at which each number is largest: "top_values", "top_rows", "top_positions" [unit, k], "top_tokens" [unit, k, context].

    before, after  tokens kept around each
    above          only what is above this: 0 for a dictionary's features, which keeps to their firings
    one_per_row    of a row only its best token
    """
    return _top(k, before, after, above, one_per_row, False)


def bottom(k: int = 10, before: int = 10, after: int = 5, above: float | None = None, one_per_row: bool = False) -> pb.Statistic:
    """The tokens at which each number is smallest: as top, with "bottom_"; above is then of its negative."""
    return _top(k, before, after, above, one_per_row, True)


def sample(count: int, seed: int = 0) -> pb.Statistic:
    """Uniformly drawn tokens: "samples" [count, unit], "sample_rows", "sample_positions", "sample_tokens" [count]."""
    return pb.Statistic(reservoir=pb.ReservoirStatistic(count=count, seed=seed))


def several(given: Any) -> Sequence[pb.Statistic]:
    """One statistic or several; of moments the highest, which gives the others too."""
    found: list[pb.Statistic] = []
    for one in given if isinstance(given, (list, tuple)) else [given]:
        if not isinstance(one, pb.Statistic):
            raise InvalidArgumentError("NOT_A_STATISTIC", f"A probe gathers a {type(one).__name__}; statistics of interopinterp.streams are "
                                       "expected: mean(), variance(), covariance(), by_position(), histogram(), firing(), top(), bottom(), "
                                       "sample().")
        same = next((known for known in found if known.WhichOneof("kind") == one.WhichOneof("kind") == "moments"), None)
        if same is None:
            found.append(one)
        elif one.moments.up_to > same.moments.up_to:
            found[found.index(same)] = one
    return found


def _top(k: int, before: int, after: int, above: float | None, one_per_row: bool, smallest: bool) -> pb.Statistic:
    return pb.Statistic(top=pb.TopStatistic(k=k, before=before, after=after, above=above, one_per_row=one_per_row, smallest=smallest))
