"""Arrays and tensors that share memory, both ways, over DLPack's structure."""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int64, c_void_p

import numpy as np

from interopinterp._inproc import abi
from interopinterp.errors import InvalidArgumentError

# DLPack's type codes. bfloat16 (4) has no numpy type.
_CODE_OF_KIND = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_KIND_OF_CODE = {code: kind for kind, code in _CODE_OF_KIND.items()}
_BFLOAT, _CPU = 4, 1
_NAME, _USED = b"dltensor", b"used_dltensor"

_python = ctypes.pythonapi
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [c_void_p, c_char_p, c_void_p]
_python.PyCapsule_GetPointer.restype = c_void_p
_python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, c_char_p]
_python.PyCapsule_SetName.argtypes = [ctypes.py_object, c_char_p]


class Export:
    """One share of a tensor's memory, let go with this object: the base of a numpy array, or on its way to another library."""

    __slots__ = ("__array_interface__", "_fork", "_managed", "_destructor")

    def __init__(self, managed: int, fork, destructor: int):
        self._managed = managed
        self._fork = fork
        self._destructor = destructor

    @property
    def on_cpu(self) -> bool:
        """Whether numpy can read the memory."""
        return abi.Managed.from_address(self._managed).device_type == _CPU

    def array(self, raw: bool) -> np.ndarray:
        """A writable array over the memory, which must be the CPU's."""
        tensor = abi.Managed.from_address(self._managed)
        if tensor.code == _BFLOAT and not raw:
            raise InvalidArgumentError(
                "NO_NUMPY_TYPE", "numpy has no bfloat16: ask for float32, use dlpack(), or take its bits as uint16: "
                "export(handle, raw=True).")
        kind = "u" if tensor.code == _BFLOAT else _KIND_OF_CODE[tensor.code]
        dtype = np.dtype(f"{kind}{tensor.bits // 8}")
        shape = tuple(tensor.shape[:tensor.rank])
        if 0 in shape:
            return np.empty(shape, dtype)
        self.__array_interface__ = {
            "version": 3, "typestr": dtype.str, "shape": shape, "data": (tensor.data + tensor.offset, False),
            "strides": tuple(n * dtype.itemsize for n in tensor.strides[:tensor.rank])}
        return np.asarray(self)

    def __dlpack_device__(self) -> tuple[int, int]:
        tensor = abi.Managed.from_address(self._take(False))
        return tensor.device_type, tensor.device_id

    def __dlpack__(self, stream=None, **_):
        """A capsule, once: the one who takes it owns the share."""
        return _python.PyCapsule_New(self._take(True), _NAME, self._destructor)

    def _take(self, away: bool) -> int:
        if not self._managed:
            raise BufferError("This share of the tensor was given away; call dlpack(handle) again.")
        managed = self._managed
        if away:
            self._managed = 0
        return managed

    def __del__(self):
        # In a forked child the memory is a copy that ends with the process, and freeing could enter a runtime that is not there.
        if self._managed and not self._fork.happened:
            abi.DELETER(abi.Managed.from_address(self._managed).deleter)(self._managed)


def lend(array: np.ndarray, number: int, deleter: int) -> tuple:
    """The structure that describes an array, and what must live as long as it is in use: (structure, *owners)."""
    sizes = (c_int64 * (2 * array.ndim))(*array.shape, *(n // array.itemsize for n in array.strides))
    start = ctypes.addressof(sizes)
    pointer = ctypes.POINTER(c_int64)
    managed = abi.Managed(
        data=array.__array_interface__["data"][0], device_type=_CPU, rank=array.ndim,
        code=_CODE_OF_KIND[array.dtype.kind], bits=array.itemsize * 8, lanes=1,
        shape=ctypes.cast(start, pointer), strides=ctypes.cast(start + 8 * array.ndim, pointer), context=number, deleter=deleter)
    return managed, sizes, array


def lendable(array: np.ndarray) -> bool:
    """Whether a tensor can use the array's memory as it lies."""
    return (array.flags.writeable and array.flags.aligned and array.dtype.isnative
            and all(n >= 0 and n % array.itemsize == 0 for n in array.strides))


def check_type(array: np.ndarray) -> None:
    """Raises for element types that no tensor has."""
    largest = {"i": 8, "u": 1, "f": 8, "c": 16, "b": 1}.get(array.dtype.kind, 0)
    if array.itemsize > largest:
        raise InvalidArgumentError("NO_TENSOR_TYPE", f"No tensor has the element type {array.dtype}; convert the array first.")


def capsule_pointer(capsule) -> int:
    """The DLManagedTensor in a capsule."""
    return _python.PyCapsule_GetPointer(capsule, _NAME)


def take_capsule(capsule) -> None:
    """Marks a capsule as taken, so that its destructor leaves the tensor alone."""
    _python.PyCapsule_SetName(capsule, _USED)
