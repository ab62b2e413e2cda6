"""Arrays whose axes have names and labels."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, ClassVar, Sequence

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp._patching import tables
from interopinterp.views import Heatmap


@dataclasses.dataclass(frozen=True, repr=False)
class Labelled:
    """A number for everything that its axes name. numpy reads it as its values; a notebook shows it as heatmaps.

    name    what the numbers are
    labels  what stands along each axis, by the axis's name, in the order of the axes
    values  [...], an array
    """

    column: ClassVar[str] = "value"

    name: str
    labels: dict[str, Sequence[Any]]
    values: Any

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes."""
        return tuple(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Entries along each axis."""
        return tuple(self.values.shape)

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return np.asarray(arrays.to_numpy(self.values), dtype)

    def top(self, k: int = 10) -> list[tuple[tuple[Any, ...], float]]:
        """The k entries of largest absolute value: (labels, value)."""
        values = np.asarray(self)
        order = np.argsort(-np.abs(values), axis=None, kind="stable")[:k]
        places = (np.unravel_index(at, values.shape) for at in order)
        return [(tuple(of[i] for of, i in zip(self.labels.values(), place)), float(values[place])) for place in places]

    def records(self) -> list[dict[str, Any]]:
        """A dict per entry: its label on every axis, and its value."""
        values = np.asarray(self).ravel()
        cells = itertools.product(*self.labels.values())
        return [{**dict(zip(self.labels, cell)), self.column: float(value)} for cell, value in zip(cells, values)]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def heatmaps(self) -> list[Heatmap]:
        """Rows and columns are the last two axes, and there is a map for each index of those before."""
        return tables.heatmaps(np.asarray(self), self.labels, self.name)

    def _repr_html_(self) -> str:
        if tables.fits(self.shape):
            return tables.page(self.heatmaps())
        return tables.listing(f"{self.name} by {', '.join(self.axes)}",
                              [(", ".join(map(str, place)), value) for place, value in self.top(tables.LISTED)])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, [{', '.join(f'{axis} {size}' for axis, size in zip(self.axes, self.shape))}])"


def by_head(model: Any, name: str, values: Any) -> Labelled:
    """Values [layer, head]."""
    return Labelled(name, {"layer": range(model.cfg.n_layers), "head": range(model.cfg.n_heads)}, values)
