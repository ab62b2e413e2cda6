"""The loader that needs nothing: .NET's own hosting library, driven by ctypes."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Callable

from interopinterp._inproc import locate
from interopinterp.errors import FailedPreconditionError

_LOAD_ASSEMBLY = 5  # hdt_load_assembly_and_get_function_pointer
_UNMANAGED_CALLERS_ONLY = c_void_p(-1)
_STARTED = (0, 1, 2)  # a fresh runtime, one that runs already, one that runs with other properties
_ERROR_WRITER = ctypes.CFUNCTYPE(None, c_char_p)
_LOAD = ctypes.CFUNCTYPE(c_int, c_char_p, c_char_p, c_char_p, c_void_p, c_void_p, POINTER(c_void_p))
_TABLE = ctypes.CFUNCTYPE(c_int, c_void_p, c_int, c_int)


class _Parameters(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("host_path", c_char_p), ("dotnet_root", c_char_p)]


def load(home: Path, dotnet: Path) -> Callable[[int, int, int], int]:
    """Starts .NET in this process and returns the function that fills in the door's table."""
    newest = max((dotnet / "host" / "fxr").glob("*/libhostfxr.so"), key=lambda file: locate._version(file.parent.name))
    library = ctypes.CDLL(str(newest))
    said: list[str] = []
    writer = _ERROR_WRITER(lambda text: said.append(text.decode(errors="replace")))
    library.hostfxr_set_error_writer.argtypes = [c_void_p]
    library.hostfxr_set_error_writer.restype = c_void_p
    library.hostfxr_set_error_writer(ctypes.cast(writer, c_void_p))
    context, loader, entry = c_void_p(), c_void_p(), c_void_p()

    def check(code: int, what: str, good=(0,)) -> None:
        if code not in good:
            raise FailedPreconditionError(
                "DOTNET_DOES_NOT_START", f"{what} failed with 0x{code & 0xffffffff:08x} ({newest}). {' '.join(said)}".strip())

    try:
        parameters = _Parameters(ctypes.sizeof(_Parameters), None, str(dotnet).encode())
        config = str(home / locate.RUNTIME_CONFIG).encode()
        check(library.hostfxr_initialize_for_runtime_config(config, byref(parameters), byref(context)), "Starting .NET", _STARTED)
        check(library.hostfxr_get_runtime_delegate(context, _LOAD_ASSEMBLY, byref(loader)), "Asking .NET for its loader")
        check(_LOAD(loader.value)(
            str(home / locate.ASSEMBLY).encode(), b"InteropInterp.Python.Exports, InteropInterp.Python", b"Table",
            _UNMANAGED_CALLERS_ONLY, None, byref(entry)), f"Loading {home / locate.ASSEMBLY}")
    finally:
        library.hostfxr_set_error_writer(None)
        library.hostfxr_close(context)
    return _TABLE(entry.value)
