"""The C layouts that both sides agree on: src/InteropInterp.Python/{Exports,PythonHost}.cs, and DLPack."""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int, c_int32, c_int64, c_uint8, c_uint16, c_uint64, c_void_p

REVISION = 1


class Functions(ctypes.Structure):
    """The door's functions, as addresses."""

    _fields_ = [(name, c_void_p) for name in (
        "open", "number", "call", "free", "export", "import_", "release", "returned", "deleter", "capsule_destructor", "close")]


class Host(ctypes.Structure):
    """What this side hands over: its callback, and functions of CPython."""

    _fields_ = [(name, c_void_p) for name in (
        "call_back", "gil_ensure", "gil_release", "check_signals", "fetch_exception", "dec_ref", "capsule_is_valid", "capsule_pointer")
    ] + [("main_thread", c_int64)]


class Reply(ctypes.Structure):
    """What a call leaves: bytes to free, how many lent arrays came back, an exception to raise."""

    _fields_ = [
        ("data", c_void_p), ("length", c_int), ("returned", c_int),
        ("type", c_void_p), ("value", c_void_p), ("traceback", c_void_p)]


class Managed(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = [
        ("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("rank", c_int32),
        ("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16),
        ("shape", ctypes.POINTER(c_int64)), ("strides", ctypes.POINTER(c_int64)), ("offset", c_uint64),
        ("context", c_void_p), ("deleter", c_void_p)]


# Reply* is passed as an address: byref() of a structure costs less than a typed pointer.
CALL_BACK = ctypes.CFUNCTYPE(c_int, c_int64, c_void_p, c_int, c_void_p, c_void_p)
OPEN = ctypes.CFUNCTYPE(c_int, c_void_p, c_char_p, c_char_p, c_int, c_int, c_void_p)
CALL = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_int, c_void_p)
CLOSE = ctypes.CFUNCTYPE(None, c_int)

# These end at once, so they keep the GIL.
NUMBER = ctypes.PYFUNCTYPE(c_int, c_char_p, c_void_p)
FREE = ctypes.PYFUNCTYPE(None, c_void_p)
EXPORT = ctypes.PYFUNCTYPE(c_int, c_int64, c_void_p, c_void_p)
IMPORT = ctypes.PYFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
RELEASE = ctypes.PYFUNCTYPE(None, c_int64)
RETURNED = ctypes.PYFUNCTYPE(c_int, c_void_p, c_int)
DELETER = ctypes.PYFUNCTYPE(None, c_void_p)


def address(function) -> int:
    """The address of a C function or callback."""
    return ctypes.cast(function, c_void_p).value
