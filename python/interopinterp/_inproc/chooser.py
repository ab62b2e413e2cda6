"""Which loader opens the door, once in a process."""

from __future__ import annotations

import importlib.util
import os
import threading
import warnings

from interopinterp._inproc import hostfxr, locate, pythonnet, signals, torches
from interopinterp._inproc.client import Client
from interopinterp.errors import InvalidArgumentError

_LOADERS = {"pythonnet": pythonnet.load, "hostfxr": hostfxr.load}
_lock = threading.Lock()
_client: Client | None = None


def client() -> Client:
    """The engine in this process, loaded at the first call: by pythonnet where that is installed, else by hostfxr alone.

    $INTEROPINTERP_DOOR names one of them; client().door says which it was. $INTEROPINTERP_THREADS sets the threads of one
    operator: beside torch, which has threads of its own, fewer may be faster.
    """
    global _client
    with _lock:
        if _client is None:
            _client = _open()
        return _client


def _open() -> Client:
    home = locate.home()
    dotnet = locate.dotnet(home)
    libtorch, private = torches.choose()
    door, table = _load(home, dotnet)
    return Client(door, table, libtorch, private, _threads())


def _threads() -> int:
    text = os.environ.get("INTEROPINTERP_THREADS") or "0"
    if not text.isdigit():
        raise InvalidArgumentError("BAD_THREADS", f"INTEROPINTERP_THREADS={text}: expected a number; 0 leaves libtorch's choice.")
    return int(text)


def _load(home, dotnet):
    forced = os.environ.get("INTEROPINTERP_DOOR", "")
    if forced and forced not in _LOADERS:
        raise InvalidArgumentError("UNKNOWN_DOOR", f"INTEROPINTERP_DOOR={forced}: expected one of {', '.join(_LOADERS)}.")
    # The runtime takes Ctrl-C and the request to end for itself when it starts.
    with signals.kept():
        if forced:
            return forced, _LOADERS[forced](home, dotnet)
        if importlib.util.find_spec("pythonnet"):
            try:
                return "pythonnet", pythonnet.load(home, dotnet)
            except Exception as error:
                message = f"pythonnet is installed but does not load ({error}); the engine comes in through hostfxr."
                warnings.warn(message, RuntimeWarning, stacklevel=4)
        return "hostfxr", hostfxr.load(home, dotnet)
