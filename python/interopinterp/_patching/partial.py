"""What is known of a sweep while it runs, and of one that was interrupted."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from interopinterp import _pb as pb
from interopinterp._patching.result import SweepResult, of_response


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C in a sweep. It is a KeyboardInterrupt; result has the cells that were known by then, NaN in the others."""

    def __init__(self, result: SweepResult):
        known = int(np.isfinite(result.values).sum())
        super().__init__(f"The sweep was interrupted at {known} of {result.values.size} cells.")
        self.result = result


class Partial:
    """Puts portions together.

    told  called with the result so far after each
    """

    def __init__(self, names: list[str], activation: str, told: Callable[[SweepResult], Any] | None = None):
        self._names, self._activation, self._told = names, activation, told
        self._outline: pb.RunSweepResponse | None = None
        self._values: list[np.ndarray] = []
        self._rows: list[np.ndarray | None] = []
        self._ends: list[pb.SweepValues] = []

    def __call__(self, portion: pb.SweepPortion) -> None:
        if portion.HasField("outline"):
            self._outline = portion.outline
            self._values = [np.full(int(np.prod(portion.outline.shape)), np.nan) for _ in portion.metrics]
            self._rows = [None] * len(portion.metrics)
        cells = np.array(portion.cells, int)
        for at, metric in enumerate(portion.metrics):
            self._values[at][cells] = metric.values
            if len(metric.per_row):
                if self._rows[at] is None:
                    self._rows[at] = np.full((self._values[at].size, len(metric.per_row) // len(cells)), np.nan)
                self._rows[at][cells] = np.array(metric.per_row).reshape(len(cells), -1)
        self._ends = [pb.SweepValues(baseline=m.baseline, ends=m.ends if m.HasField("ends") else None) for m in portion.metrics]
        if self._told is not None and len(cells):
            self._told(self.result())

    @property
    def is_known(self) -> bool:
        """Whether there is a cell."""
        return any(np.isfinite(values).any() for values in self._values)

    def result(self) -> SweepResult:
        """The table so far."""
        return of_response(
            self._outline, self._names, self._activation, [values.copy() for values in self._values],
            [None if rows is None else rows.copy() for rows in self._rows], self._ends, is_complete=False)
