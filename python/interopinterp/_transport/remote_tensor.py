"""A tensor on a server, fetched when it is looked at: a slice at a time where it is indexed, else once and for all."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb

if TYPE_CHECKING:
    from interopinterp._transport.remote import Grpc


class RemoteTensor:
    """Behaves as the array it stands for, in every numpy or torch call, and moves no more of it than it must.

    shape, dtype  known without a transfer
    x[0, :, 3]    cut on the server; only the slice travels (indices and slices with a step above 0)
    anything else fetches the whole once: x.mean(-1), x + 1, np.asarray(x), torch.relu(x)
    value         the array itself; edits of it stay on this side
    """

    __array_priority__ = 1.0

    def __init__(self, transport: "Grpc", tensor: pb.Tensor):
        self._transport = transport
        self._value: Any = None
        self.ref = None
        if tensor.WhichOneof("kind") == "value":
            self._value = arrays.from_numpy(transport.decoded(tensor.value))
        else:
            self.ref = tensor.ref
        source = self.ref or tensor.value
        self.shape = tuple(source.shape)
        self.dtype = arrays.native_dtype(arrays.NAMES[source.data_type])

    @property
    def value(self) -> Any:
        """The whole array: numpy's, or torch's where the user has imported torch."""
        if self._value is None:
            self._value = arrays.from_numpy(self._transport.read(self.ref))
        return self._value

    @property
    def is_fetched(self) -> bool:
        """Whether the whole array is on this side."""
        return self._value is not None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def numpy(self) -> np.ndarray:
        """The whole as a numpy array."""
        return arrays.to_numpy(self.value)

    def __array__(self, dtype: Any = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return function(*_fetched(args), **_fetched(kwargs or {}))

    def __getitem__(self, index: Any) -> Any:
        cut = None if self.is_fetched else _ranges(index, self.shape)
        if cut is None:
            return self.value[_fetched(index)]
        ranges, dropped = cut
        if all(part == (0, size, 1) for part, size in zip(ranges, self.shape)) and not dropped:
            return self.value
        part = self._transport.read(self.ref, ranges)
        return arrays.from_numpy(part[tuple(0 if axis in dropped else slice(None) for axis in range(part.ndim))])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.value[_fetched(index)] = _fetched(value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.value, name)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self):
        return iter(self.value)

    def __repr__(self) -> str:
        if self.is_fetched:
            return repr(self._value)
        return f"RemoteTensor(shape={list(self.shape)}, dtype={self.dtype}, on {self._transport.door})"

    def __del__(self):
        if getattr(self, "ref", None) is not None:
            self._transport.forget(self.ref.name)


def _ranges(index: Any, shape: tuple[int, ...]) -> tuple[list[tuple[int, int, int]], set[int]] | None:
    """(start, stop, step) of each axis and the axes that an integer takes away; None for what only the array itself can answer."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if not all(part is Ellipsis or isinstance(part, (int, np.integer, slice)) and not isinstance(part, bool) for part in parts):
        return None
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at:at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    if len(parts) > len(shape) or Ellipsis in parts:
        return None
    ranges, dropped = [], set()
    for axis, part in enumerate(parts):
        if isinstance(part, slice):
            start, stop, step = part.indices(shape[axis])
            if step < 1 or stop <= start:
                return None
        else:
            start = operator.index(part)
            if not -shape[axis] <= start < shape[axis]:
                return None
            start %= shape[axis]
            stop, step = start + 1, 1
            dropped.add(axis)
        ranges.append((start, stop, step))
    return ranges, dropped


def _fetched(value: Any) -> Any:
    if isinstance(value, RemoteTensor):
        return value.value
    if isinstance(value, (tuple, list)) and any(isinstance(item, (RemoteTensor, tuple, list)) for item in value):
        return type(value)(map(_fetched, value))
    if isinstance(value, dict):
        return {name: _fetched(item) for name, item in value.items()}
    return value


def _delegate(name: str):
    def method(self, *others):
        return getattr(operator, name)(self.value, *map(_fetched, others))
    return method


def _reflected(name: str):
    def method(self, other):
        return getattr(operator, name)(_fetched(other), self.value)
    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    _plain = _name.rstrip("_")
    setattr(RemoteTensor, f"__{_plain}__", _delegate(_name))
    setattr(RemoteTensor, f"__r{_plain}__", _reflected(_name))
for _name in ("lt", "le", "eq", "ne", "gt", "ge", "neg", "pos", "abs", "invert"):
    setattr(RemoteTensor, f"__{_name}__", _delegate(_name))
for _name, _kind in (("float", float), ("int", int), ("bool", bool)):
    setattr(RemoteTensor, f"__{_name}__", lambda self, _kind=_kind: _kind(self.value))
RemoteTensor.__hash__ = object.__hash__
