"""The exploratory experiment of "How to use and interpret activation patching" (Heimersheim and Nanda 2024)."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping

import numpy as np

from interopinterp._patching import tables
from interopinterp._patching.result import SweepResult
from interopinterp._patching.sweep import contrast


@dataclasses.dataclass(frozen=True)
class Exploration:
    """Each part patched alone, in both directions. A notebook shows the two tables one above the other.

    both      the sweep: its first two axes are direction and corruption, of which there is one
    restored  what clean values of the part alone restore of the behaviour: 1 where the part is sufficient
    lost      what corrupted values of the part alone destroy of it: 1 where the part is necessary
    """

    both: SweepResult

    @property
    def restored(self) -> np.ndarray:
        """With the axes of the grid."""
        return self._of("denoising").normalized

    @property
    def lost(self) -> np.ndarray:
        """With the axes of the grid."""
        return 1 - self._of("noising").normalized

    def records(self) -> list[dict[str, Any]]:
        """A dict per part: its place, what it restores alone, and what is lost without it."""
        part = self._of("denoising")
        return [{**{axis: record[axis] for axis in part.labels}, "restored": float(restored), "lost": float(lost)}
                for record, restored, lost in zip(part.records(), self.restored.ravel(), self.lost.ravel())]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def _of(self, direction: str) -> SweepResult:
        return self.both.select(direction=direction, corruption=self.both.labels["corruption"][0])

    def _repr_html_(self) -> str:
        labels = self._of("denoising").labels
        return "".join(tables.page(tables.heatmaps(values, labels, what)) for values, what in (
            (self.restored, "restored alone (denoising)"), (self.lost, "lost without (noising)")))


def explore(model: Any, clean: Any, corrupt: Any, grid: Any, metric: Any, *, only: Mapping[str, Any] | None = None) -> Exploration:
    """Patches each part alone, clean into corrupted and corrupted into clean, side by side.

    clean, corrupt  token ids [batch, pos] or texts, row for row and of one length; corrupt may also be swap_tokens or gaussian_noise
    grid, only      as in sweep
    metric          one of interopinterp.metrics, continuous: a logit difference for preference
    circuits.confirm is the other kind of experiment: all of the rest at once against a hypothesised circuit.
    """
    return Exploration(contrast(model, clean, corrupt, grid, metric, only=only))
