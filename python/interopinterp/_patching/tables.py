"""Arrays with labelled axes, as heatmaps and as lists of what is largest."""

from __future__ import annotations

import html
import itertools
from typing import Any, Iterable, Mapping, Sequence

import numpy as np

from interopinterp import _pb as pb
from interopinterp.errors import FailedPreconditionError, InvalidArgumentError, unknown
from interopinterp.metrics import Metric
from interopinterp.views import LARGEST, Heatmap, side_by_side

MAPS, LISTED = 64, 20
DIRECTIONS = {"denoising": pb.PATCH_DIRECTION_DENOISING, "noising": pb.PATCH_DIRECTION_NOISING, "both": pb.PATCH_DIRECTION_BOTH}


def choice(choices: Mapping[str, int], what: str, given: str) -> int:
    """One of some words, as a message says it."""
    if given not in choices:
        raise unknown(f"UNKNOWN_{what.upper()}", what, given, choices)
    return choices[given]


def declared(metric: Any, model: Any, loans: Any) -> Any:
    """The message of a metric as data; a function is refused."""
    if not isinstance(metric, Metric):
        raise InvalidArgumentError("METRIC_NOT_DECLARED", f"The metric is a {type(metric).__name__}; one of interopinterp.metrics is "
                                   "expected, which the engine computes and differentiates itself.")
    return metric.to_proto(model, loans)


def heatmaps(values: np.ndarray, labels: Mapping[str, Sequence[Any]], title: str) -> list[Heatmap]:
    """Rows and columns are the last two axes, and there is a map for each index of those before."""
    shown = np.atleast_2d(values)
    names = list(labels)
    rows, columns = (labels[names[-2]] if len(names) > 1 else [""]), labels[names[-1]]
    largest = float(np.nanmax(np.abs(shown), initial=0))
    maps = []
    for at in itertools.product(*map(range, shown.shape[:-2])):
        place = ", ".join(f"{axis} {labels[axis][i]}" for axis, i in zip(names, at))
        maps.append(Heatmap(shown[at], rows, columns, f"{title}, {place}" if place else f"{title} by {', '.join(names)}", largest))
    return maps


def page(maps: Sequence[Heatmap]) -> str:
    """The first of some maps as HTML, and how many there are more."""
    more = f"<p>... and {len(maps) - MAPS} more: heatmaps()</p>" if len(maps) > MAPS else ""
    return side_by_side(maps[:MAPS]) + more


def fits(shape: Sequence[int]) -> bool:
    """Whether a heatmap can show the last two axes."""
    return max(shape[-2:]) <= LARGEST


def listing(title: str, entries: Iterable[tuple[str, float]]) -> str:
    """Names and numbers as an HTML table."""
    lines = "".join(f"<tr><td>{html.escape(name)}</td><td>{value:.4g}</td></tr>" for name, value in entries)
    return f"<table><caption>{html.escape(title)}</caption>{lines}</table>"


def frame(records: list[dict[str, Any]]) -> Any:
    """Records as a pandas table."""
    try:
        import pandas
    except ImportError:
        raise FailedPreconditionError("PANDAS_MISSING", "to_dataframe needs pandas (pip install pandas); records() gives the same rows as "
                                      "dicts.") from None
    return pandas.DataFrame.from_records(records)
