"""Slices that are written as data."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp.errors import InvalidArgumentError

SliceInput = Union[None, int, tuple, list, slice, np.ndarray, Any]


class Slice:
    """A part of one axis: None (all), an int (the axis goes), (stop,), (start, stop), (start, stop, step), a slice, or a list of indices.

    Source: TransformerLens 3.9, utilities.Slice.
    """

    def __init__(self, input_slice: SliceInput = None):
        if isinstance(input_slice, (bool, str)):
            raise InvalidArgumentError("INVALID_SLICE",
                                       f"{input_slice!r} is no slice: None, an int, (start, stop, step), a slice or a list of ints.")
        if input_slice is None:
            self.slice, self.mode = slice(None), "identity"
        elif isinstance(input_slice, tuple):
            self.slice, self.mode = slice(*input_slice), "slice"
        elif isinstance(input_slice, (int, np.integer)):
            self.slice, self.mode = int(input_slice), "int"
        elif isinstance(input_slice, slice):
            self.slice, self.mode = input_slice, "slice"
        elif isinstance(input_slice, list) or arrays.is_array(input_slice):
            self.slice, self.mode = arrays.to_numpy(input_slice), "array"
        else:
            raise InvalidArgumentError("INVALID_SLICE",
                                       f"{input_slice!r} is no slice: None, an int, (start, stop, step), a slice or a list of ints.")

    def apply(self, tensor: Any, dim: int = 0) -> Any:
        """The part of a tensor along an axis."""
        index: list[Any] = [slice(None)] * tensor.ndim
        index[dim] = self.slice
        return tensor[tuple(index)]

    def indices(self, max_ctx: int | None = None) -> np.ndarray:
        """The indices meant on an axis of max_ctx entries."""
        if self.mode == "int":
            return np.array([self.slice], dtype=np.int64)
        if max_ctx is None:
            raise InvalidArgumentError("INVALID_SLICE", "max_ctx must be given, unless the slice is one index.")
        return np.arange(max_ctx, dtype=np.int64)[self.slice]

    def __repr__(self) -> str:
        return f"Slice: {self.slice} Mode: {self.mode} "

    @classmethod
    def unwrap(cls, slice_input: "Slice | SliceInput") -> "Slice":
        """A Slice of anything that is one; an int keeps its axis."""
        if isinstance(slice_input, Slice):
            return slice_input
        return Slice([slice_input] if isinstance(slice_input, (int, np.integer)) and not isinstance(slice_input, bool) else slice_input)
