"""Arrays as notebooks show them: heatmaps and attention patterns, as HTML that needs nothing else."""

from __future__ import annotations

import html
from typing import Any, Sequence

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp.errors import InvalidArgumentError

LARGEST = 200


class Heatmap:
    """A table of colours: blue below zero, red above; hover to read a number. The last thing in a notebook's cell, it is shown.

    values   [rows, columns]
    rows, columns  labels: model.to_str_tokens(text), cache labels, ...
    title    written above
    largest  the number that has full colour; the largest there is if None
    """

    def __init__(self, values: Any, rows: Sequence[Any] | None = None, columns: Sequence[Any] | None = None, title: str = "",
                 largest: float | None = None):
        self.values = arrays.to_numpy(values)
        if self.values.ndim != 2 or max(self.values.shape) > LARGEST:
            raise InvalidArgumentError("WRONG_SHAPE",
                                       f"A heatmap is [rows, columns], up to {LARGEST} of each; these values are "
                                       f"{list(self.values.shape)}.")
        self.rows, self.columns, self.title, self.largest = rows, columns, title, largest
        for name, labels, size in (("rows", rows, self.values.shape[0]), ("columns", columns, self.values.shape[1])):
            if labels is not None and len(labels) != size:
                raise InvalidArgumentError("LABELS", f"There are {len(labels)} labels for {size} {name}.")

    def _repr_html_(self) -> str:
        finite = self.values[np.isfinite(self.values)]
        largest = self.largest if self.largest is not None else float(np.abs(finite).max()) if finite.size else 0.0
        names = [html.escape(repr(label)[1:-1] if isinstance(label, str) else str(label)) for label in self.columns or ()]
        head = "".join(f"<th style='writing-mode:vertical-rl;font-weight:normal'>{name}</th>" for name in names)
        lines = []
        for index, line in enumerate(self.values):
            label = self.rows[index] if self.rows is not None else ""
            label = repr(label)[1:-1] if isinstance(label, str) else str(label)
            cells = "".join(f"<td title='{value:.4g}' style='padding:0;width:14px;height:14px;background:{_colour(value, largest)}'></td>"
                            for value in line)
            lines.append(f"<tr><th style='text-align:right;font-weight:normal'>{html.escape(label)}</th>{cells}</tr>")
        caption = f"<caption>{html.escape(self.title)} (largest {largest:.4g})</caption>"
        corner = "<tr><th></th>" + head + "</tr>" if names else ""
        return f"<table style='border-collapse:collapse;font-size:11px'>{caption}{corner}{''.join(lines)}</table>"

    def __repr__(self) -> str:
        return f"Heatmap({self.title or 'values'}, {list(self.values.shape)})"


class AttentionPatterns:
    """The patterns of some heads side by side, each row a position that attends.

    patterns  [head, pos, pos], of cache["pattern", layer][0]
    tokens    the text of each token
    """

    def __init__(self, patterns: Any, tokens: Sequence[str] | None = None, names: Sequence[str] | None = None):
        patterns = arrays.to_numpy(patterns)
        if patterns.ndim != 3:
            raise InvalidArgumentError("WRONG_SHAPE",
                                       f"Patterns are [head, pos, pos]; these are {list(patterns.shape)}. Pick a row: cache['pattern', "
                                       "0][0].")
        names = names or [f"head {head}" for head in range(len(patterns))]
        self.maps = [Heatmap(pattern, tokens, tokens, name) for pattern, name in zip(patterns, names)]

    def _repr_html_(self) -> str:
        return side_by_side(self.maps)

    def __repr__(self) -> str:
        return f"AttentionPatterns({len(self.maps)} heads)"


def side_by_side(maps: Sequence[Heatmap]) -> str:
    """Some heatmaps as HTML, one beside the other."""
    boxes = "".join(f"<div style='margin:6px'>{one._repr_html_()}</div>" for one in maps)
    return f"<div style='display:flex;flex-wrap:wrap'>{boxes}</div>"


def _colour(value: float, largest: float) -> str:
    if not np.isfinite(value):
        return "#ddd"
    fade = int(255 * (1 - min(1.0, abs(value) / largest))) if largest else 255
    return f"rgb(255,{fade},{fade})" if value > 0 else f"rgb({fade},{fade},255)"
