"""Circuits and curves as SVG that needs nothing else."""

from __future__ import annotations

import html
import re
from typing import Any, Sequence

import numpy as np

MOST_EDGES = 400
_RED, _BLUE = "#c33", "#36c"
_STEP_X, _STEP_Y, _MARGIN = 64, 56, 34


def circuit(found: Any) -> str:
    """A circuit from the embedding (below) to the logits: a row for attention and one for the MLP of each layer.

    Lines are as thick as scores are large, red above zero and blue below. Of many edges the largest are drawn.
    """
    records = found.records()
    scores = np.array([record["score"] or 0.0 for record in records])
    drawn = [records[at] for at in np.argsort(-np.abs(scores), kind="stable")[:MOST_EDGES]]
    largest = float(np.abs(scores).max(initial=0))
    rows: dict[tuple, list[str]] = {}
    for node in {*(record["sender"] for record in drawn), *(node for record in drawn for node in _nodes(found.graph, record["receiver"])), "input", "logits"}:
        rows.setdefault(_height(node), []).append(node)
    levels, width = sorted(rows), max(map(len, rows.values())) * _STEP_X + 2 * _MARGIN
    height = (len(levels) - 1) * _STEP_Y + 2 * _MARGIN
    places = {}
    for level, key in enumerate(levels):
        nodes = sorted(rows[key], key=lambda node: [int(number) for number in re.findall(r"\d+", node)])
        for at, node in enumerate(nodes):
            places[node] = (width / 2 + (at - (len(nodes) - 1) / 2) * _STEP_X, height - _MARGIN - level * _STEP_Y)
    lines, boxes = [], []
    for record, end in [(one, end) for one in drawn for end in _nodes(found.graph, one["receiver"])]:
        (x1, y1), (x2, y2) = places[record["sender"]], places[end]
        score = record["score"]
        share = abs(score) / largest if score is not None and largest else 0.3
        told = f"{record['sender']}->{record['receiver']}" + ("" if score is None else f": {score:.4g}")
        colour = _BLUE if (score or 0) < 0 else _RED
        lines.append(f"<line x1='{x1:.0f}' y1='{y1 - 9:.0f}' x2='{x2:.0f}' y2='{y2 + 9:.0f}' stroke='{colour}' "
                     f"stroke-width='{0.4 + 2.6 * share:.2f}' stroke-opacity='{0.3 + 0.6 * share:.2f}'>"
                     f"<title>{html.escape(told)}</title></line>")
    for node, (x, y) in places.items():
        boxes.append(f"<rect x='{x - 25:.0f}' y='{y - 9:.0f}' width='50' height='18' rx='4' fill='#fff' stroke='#555'/>"
                     f"<text x='{x:.0f}' y='{y + 4:.0f}' font-size='11' text-anchor='middle'>{node}</text>")
    more = f"; the {len(drawn)} largest are drawn" if len(records) > len(drawn) else ""
    return (f"<div>{html.escape(repr(found))}{more}</div><svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height}' "
            f"font-family='sans-serif'>{''.join(lines)}{''.join(boxes)}</svg>")


def curve(xs: Sequence[float], ys: Sequence[float], names: Sequence[str], marked: Sequence[bool], x_title: str, y_title: str) -> str:
    """Points, those marked filled and joined by a line; hover to read one."""
    width, height, left, bottom = 420, 240, 50, 36
    finite = [y for y in ys if np.isfinite(y)]
    low, high = min([0.0, *finite]), max([1.0, *finite])
    most = max([*xs, 1])

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (width - left - 14) * x / most, 12 + (height - 12 - bottom) * (high - y) / (high - low)

    parts = []
    for level in (0.0, 0.5, 1.0):
        _, y = at(0, level)
        parts.append(f"<line x1='{left}' x2='{width - 14}' y1='{y:.1f}' y2='{y:.1f}' stroke='#ddd'/>"
                     f"<text x='{left - 6}' y='{y + 4:.1f}' text-anchor='end'>{level:g}</text>")
    front = sorted((at(x, y) for x, y, keep in zip(xs, ys, marked) if keep and np.isfinite(y)))
    parts.append(f"<polyline fill='none' stroke='{_RED}' points='{' '.join(f'{x:.1f},{y:.1f}' for x, y in front)}'/>")
    for x, y, name, keep in zip(xs, ys, names, marked):
        if np.isfinite(y):
            px, py = at(x, y)
            parts.append(f"<circle cx='{px:.1f}' cy='{py:.1f}' r='3.5' fill='{_RED if keep else '#fff'}' stroke='{_RED}'>"
                         f"<title>{html.escape(name)}</title></circle>")
    below = f"{html.escape(x_title)} (to {most:g})"
    parts.append(f"<text x='{(width + left) / 2:.0f}' y='{height - 6}' text-anchor='middle'>{below}</text>"
                 f"<text transform='translate(12,{(height - bottom) / 2:.0f}) rotate(-90)' text-anchor='middle'>"
                 f"{html.escape(y_title)}</text>")
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' font-family='sans-serif' font-size='11'>"
            f"{''.join(parts)}</svg>")


def scatter(points: np.ndarray, title: str) -> str:
    """Complex numbers in the plane; hover to read one."""
    size, middle = 170, 85
    largest = float(np.abs(points).max(initial=0)) or 1.0
    dots = "".join(
        f"<circle cx='{middle + 68 * p.real / largest:.1f}' cy='{middle - 68 * p.imag / largest:.1f}' r='2' "
        f"fill='{_RED if p.real > 0 else _BLUE}'><title>{p:.3g}</title></circle>" for p in points)
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{size}' height='{size + 14}' font-family='sans-serif' font-size='11'>"
            f"<line x1='8' x2='{size - 8}' y1='{middle}' y2='{middle}' stroke='#ddd'/>"
            f"<line x1='{middle}' x2='{middle}' y1='8' y2='{size - 8}' stroke='#ddd'/>{dots}"
            f"<text x='{middle}' y='{size + 8}' text-anchor='middle'>{html.escape(title)}</text></svg>")


def _nodes(graph: Any, receiver: str) -> list[str]:
    """The nodes that a receiver is the input of: several heads where they share a key head; the logits themselves."""
    return graph.feeds(receiver) or [receiver]


def _height(node: str) -> tuple:
    """What is written later stands higher."""
    if node in ("input", "logits"):
        return (-1, 0) if node == "input" else (10**9, 0)
    return int(re.search(r"\d+", node).group()), int(node.startswith("m"))
