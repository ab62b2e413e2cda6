"""What sweeps give: tables with labelled axes."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from interopinterp.errors import FailedPreconditionError, InvalidArgumentError, unknown
from interopinterp.views import Heatmap, side_by_side

_MAPS = 64


@dataclasses.dataclass(frozen=True)
class Statistics:
    """The spread of each cell over rows, arrays of the sweep's shape.

    standard_error  of the mean; NaN for one row
    low, high       the ends of a percentile bootstrap interval of the mean
    """

    mean: np.ndarray
    standard_error: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True)
class MetricTable:
    """One metric in every cell.

    values    one number per cell, the mean over rows, with the sweep's axes
    per_row   [..., batch]; None for a metric that is a function, which sees all rows at once
    baseline  of the run in which nothing is replaced
    """

    name: str
    values: np.ndarray
    per_row: np.ndarray | None
    baseline: float

    def statistics(self, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Statistics:
        """Mean, standard error and an interval that holds the mean with this probability. All cells draw the same rows."""
        if self.per_row is None:
            raise FailedPreconditionError("NO_ROWS_KNOWN", f"{self.name} is a function: it gives one number for all rows, and no spread "
                                          "over them is known. Use a metric of interopinterp.metrics.")
        if not 0 < level < 1 or resamples < 1:
            raise InvalidArgumentError("INVALID_OPTION", f"A level of {level} with {resamples} resamples: between 0 and 1, and at least "
                                       "one, are expected.")
        count = self.per_row.shape[-1]
        mean = self.per_row.mean(-1)
        error = self.per_row.std(-1, ddof=1) / np.sqrt(count) if count > 1 else np.full_like(mean, np.nan)
        # How often each resample draws each row: [resamples, batch].
        weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples) / count
        ends = [(1 - level) / 2, (1 + level) / 2]
        # Cell by cell: all means of all resamples at once would take more room than anybody expects of a small table.
        cells = [np.quantile(weights @ rows, ends) for rows in self.per_row.reshape(-1, count)]
        low, high = np.array(cells).reshape((*mean.shape, 2)).transpose((-1, *range(mean.ndim)))
        return Statistics(mean, error, low, high)


@dataclasses.dataclass(frozen=True)
class SweepResult:
    """A table of one or more metrics. numpy reads it as the values of the first; a notebook shows it as heatmaps.

    activation  what was replaced
    labels      the layers, positions and heads along each axis, by the axis's name, in the order of the axes
    metrics     by name
    """

    activation: str
    labels: dict[str, list[int]]
    metrics: dict[str, MetricTable]

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes."""
        return tuple(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return self.first.values.shape

    @property
    def first(self) -> MetricTable:
        """The table of the first metric."""
        return next(iter(self.metrics.values()))

    @property
    def values(self) -> np.ndarray:
        """The first metric in every cell."""
        return self.first.values

    @property
    def per_row(self) -> np.ndarray | None:
        """The first metric of every row in every cell [..., batch]."""
        return self.first.per_row

    @property
    def baseline(self) -> float:
        """The first metric where nothing is replaced."""
        return self.first.baseline

    def statistics(self, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Statistics:
        """The spread of the first metric over rows."""
        return self.first.statistics(level, resamples, seed)

    def __getitem__(self, name: str) -> MetricTable:
        if name not in self.metrics:
            raise unknown("UNKNOWN_METRIC", "metric of this sweep", name, self.metrics)
        return self.metrics[name]

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return np.asarray(self.values, dtype)

    def records(self) -> list[dict[str, Any]]:
        """A dict per cell: its place on every axis, each metric, and where rows are known its standard error."""
        columns = {}
        for name, table in self.metrics.items():
            columns[name] = table.values.ravel()
            if table.per_row is not None and table.per_row.shape[-1] > 1:
                columns[f"{name}_standard_error"] = table.statistics(resamples=1).standard_error.ravel()
        cells = itertools.product(*self.labels.values())
        return [{**dict(zip(self.labels, cell)), **{name: float(column[at]) for name, column in columns.items()}}
                for at, cell in enumerate(cells)]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        try:
            import pandas
        except ImportError:
            raise FailedPreconditionError("PANDAS_MISSING", "to_dataframe needs pandas (pip install pandas); records() gives the same rows "
                                          "as dicts.") from None
        return pandas.DataFrame.from_records(self.records())

    def heatmaps(self, metric: str | None = None) -> list[Heatmap]:
        """What each cell changes: rows and columns are the last two axes, and there is a map for each index of those before."""
        table = self.first if metric is None else self[metric]
        changes = np.atleast_2d(table.values - table.baseline)
        labels = list(self.labels.values())
        rows, columns = (labels[-2] if len(labels) > 1 else [""]), labels[-1]
        largest = float(np.nanmax(np.abs(changes), initial=0))
        maps = []
        for at in itertools.product(*map(range, changes.shape[:-2])):
            place = ", ".join(f"{axis} {self.labels[axis][i]}" for axis, i in zip(self.labels, at))
            title = f"{table.name} - {table.baseline:.4g}" + (f", {place}" if place else f" by {', '.join(self.axes)}")
            maps.append(Heatmap(changes[at], rows, columns, title, largest))
        return maps

    def _repr_html_(self) -> str:
        maps = [one for name in self.metrics for one in self.heatmaps(name)]
        more = f"<p>... and {len(maps) - _MAPS} more: heatmaps()</p>" if len(maps) > _MAPS else ""
        return side_by_side(maps[:_MAPS]) + more

    def __repr__(self) -> str:
        return f"SweepResult({self.activation}, [{', '.join(f'{axis} {len(of)}' for axis, of in self.labels.items())}], " \
            f"{', '.join(self.metrics)})"
