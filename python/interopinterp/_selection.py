"""Parts of activations as requests say them."""

from __future__ import annotations

from typing import Any

from interopinterp import _pb as pb
from interopinterp.utilities.slice import Slice


def positions(value: Any) -> pb.Positions | None:
    """Indices of an axis: None (all), an int, (start, stop, step), a slice, a list of ints. Negative ones count from the end."""
    part = Slice.unwrap(value)
    if part.mode == "identity":
        return None
    if part.mode == "slice":
        return pb.Positions(slice=pb.Slice(start=part.slice.start, stop=part.slice.stop, step=part.slice.step))
    indices = part.slice.nonzero()[0] if part.slice.dtype == bool else part.slice
    return pb.Positions(indices=pb.IndexList(values=indices.ravel().tolist()))


def selector(
    rows: Any = None, pos: Any = None, heads: Any = None, last: Any = None, from_step: int = 0, to_step: int | None = None
) -> pb.Selector:
    """An outer product of rows, positions, heads and entries of the last axis, from one decode step to another."""
    return pb.Selector(
        rows=positions(rows), positions=positions(pos), heads=positions(heads), last=positions(last), from_step=from_step, to_step=to_step)


def region(activation: Any, point: str, rows: Any, pos: Any, heads: Any, last: Any) -> Any:
    """The selected part of a whole activation of a hook point, in region order [rows, positions, heads, last axis]."""
    axes = {0: rows, 1: pos, 2 if activation.ndim == 4 else -1: heads, activation.ndim - 1: last}
    if point.endswith(("hook_pattern", "hook_attn_scores")):
        activation = activation.swapaxes(1, 2)
    for axis, part in axes.items():
        if part is not None:
            activation = Slice.unwrap(part).apply(activation, axis)
    return activation
