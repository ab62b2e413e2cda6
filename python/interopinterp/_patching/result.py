"""What sweeps give: tables with labelled axes."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from interopinterp import _pb as pb
from interopinterp._patching import tables
from interopinterp.errors import FailedPreconditionError, InvalidArgumentError, unknown
from interopinterp.views import Heatmap

_DIRECTIONS = {pb.PATCH_DIRECTION_DENOISING: "denoising", pb.PATCH_DIRECTION_NOISING: "noising"}


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
    baseline  of the run in which nothing is replaced; of sweeps with corruptions an array, one for each cell
    clean     of the clean run, where there are corruptions
    corrupt   of the corrupted runs: an array, one for each cell
    """

    name: str
    values: np.ndarray
    per_row: np.ndarray | None
    baseline: Any
    clean: float | None = None
    corrupt: np.ndarray | None = None

    @property
    def normalized(self) -> np.ndarray:
        """0 as in the corrupted run, 1 as in the clean one: (values - corrupt) / (clean - corrupt)."""
        if self.corrupt is None:
            raise FailedPreconditionError("NO_CORRUPTIONS", "The sweep knows one run's metric: which number is 0 and which is 1 it does "
                                          "not. Use patching.contrast.")
        span = self.clean - self.corrupt
        if (np.abs(span) <= 1e-9 * np.maximum(np.abs(self.clean), np.abs(self.corrupt))).any():
            raise FailedPreconditionError("TASK_NOT_SOLVED", f"{self.name} is {self.clean:.6g} in the clean run and in a corrupted one: "
                                          "there is nothing to restore.")
        return (self.values - self.corrupt) / span

    def part(self, index: tuple) -> "MetricTable":
        """The cells of an index."""
        def of(array: Any) -> Any:
            return array[index] if isinstance(array, np.ndarray) else array

        return MetricTable(self.name, np.asarray(self.values[index]), of(self.per_row), of(self.baseline), self.clean, of(self.corrupt))

    def shown(self) -> tuple[str, np.ndarray]:
        """What tables show, and what it is called: how far cells are from corrupted to clean behaviour, or what they change."""
        if self.corrupt is not None:
            try:
                return f"{self.name} (corrupted 0, clean 1)", self.normalized
            except FailedPreconditionError:
                return f"change of {self.name}", self.values - self.baseline
        return f"{self.name} - {self.baseline:.4g}", self.values - self.baseline

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

    activation   what was replaced
    labels       what stands along each axis (layers, positions, heads), by the axis's name, in the order of the axes
    metrics      by name
    is_complete  False while the sweep runs, or where it was stopped: NaN in cells that are missing
    """

    activation: str
    labels: dict[str, list[Any]]
    metrics: dict[str, MetricTable]
    is_complete: bool = True

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
    def baseline(self) -> Any:
        """The first metric where nothing is replaced."""
        return self.first.baseline

    @property
    def normalized(self) -> np.ndarray:
        """The first metric in every cell, 0 as in the corrupted run and 1 as in the clean one."""
        return self.first.normalized

    def select(self, **labels: Any) -> "SweepResult":
        """The part with these labels, without their axes: select(direction="denoising", corruption="names")."""
        index: list[Any] = [slice(None)] * len(self.labels)
        for axis, label in labels.items():
            if axis not in self.labels:
                raise unknown("UNKNOWN_AXIS", "axis of this sweep", axis, self.labels)
            if label not in self.labels[axis]:
                raise unknown("UNKNOWN_LABEL", axis, str(label), [str(one) for one in self.labels[axis]])
            index[list(self.labels).index(axis)] = self.labels[axis].index(label)
        rest = {axis: of for axis, of in self.labels.items() if axis not in labels}
        return SweepResult(self.activation, rest, {name: table.part(tuple(index)) for name, table in self.metrics.items()}, self.is_complete)

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
            if table.corrupt is not None:
                columns[f"{name}_normalized"] = table.normalized.ravel()
            if table.per_row is not None and table.per_row.shape[-1] > 1:
                columns[f"{name}_standard_error"] = table.statistics(resamples=1).standard_error.ravel()
        cells = itertools.product(*self.labels.values())
        return [{**dict(zip(self.labels, cell)), **{name: float(column[at]) for name, column in columns.items()}}
                for at, cell in enumerate(cells)]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def heatmaps(self, metric: str | None = None) -> list[Heatmap]:
        """What each cell changes: rows and columns are the last two axes, and there is a map for each index of those before.

        With corruptions it is normalized: 0 as in the corrupted run, 1 as in the clean one.
        """
        title, shown = (self.first if metric is None else self[metric]).shown()
        return tables.heatmaps(shown, self.labels, title)

    def _repr_html_(self) -> str:
        if tables.fits(self.shape):
            return tables.page([one for name in self.metrics for one in self.heatmaps(name)])
        return "".join(tables.listing(f"{table.shown()[0]} by {', '.join(self.axes)}", self._largest(table.shown()[1]))
                       for table in self.metrics.values())

    def _largest(self, changes: np.ndarray) -> list[tuple[str, float]]:
        order = np.argsort(-np.abs(changes), axis=None, kind="stable")[:tables.LISTED]
        places = [np.unravel_index(at, changes.shape) for at in order]
        return [(", ".join(str(of[i]) for of, i in zip(self.labels.values(), place)), float(changes[place])) for place in places]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.activation}, [{', '.join(f'{axis} {len(of)}' for axis, of in self.labels.items())}], " \
            f"{', '.join(self.metrics)})"


def of_response(
    told: pb.RunSweepResponse, names: list[str], activation: str, values: list[Any], per_row: list[Any], ends: list[Any],
    is_complete: bool = True,
) -> SweepResult:
    """The result of a response.

    values, per_row, ends  per metric: numbers of cells, of cells and rows, and a message with baseline and ends
    """
    shape = tuple(told.shape)
    labels = {axis: list(indices.values) for axis, indices in zip(told.axes, told.indices)}
    if "direction" in labels:
        labels["direction"] = [_DIRECTIONS[way] for way in labels["direction"]]
        labels["corruption"] = list(told.corruptions)
    found = {}
    for name, numbers, rows, end in zip(names, values, per_row, ends):
        rows = None if rows is None or not len(rows) else np.array(rows).reshape((*shape, -1))
        baseline, clean, corrupt = end.baseline, None, None
        if end.HasField("ends"):
            column = (-1, *[1] * (len(shape) - 2))
            clean, corrupt = end.ends.clean, np.broadcast_to(np.array(end.ends.corrupt).reshape(column), shape)
            denoises = np.array([way == "denoising" for way in labels["direction"]]).reshape((-1, *[1] * (len(shape) - 1)))
            baseline = np.where(denoises, corrupt, clean)
        found[name] = MetricTable(name, np.array(numbers).reshape(shape), rows, baseline, clean, corrupt)
    return SweepResult(activation, labels, found, is_complete)
