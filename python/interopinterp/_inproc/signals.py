"""Signal handlers that outlive the start of .NET, which installs its own for these."""

from __future__ import annotations

import contextlib
import ctypes
import signal

_TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
_SIZE = 256  # of struct sigaction, rounded up


@contextlib.contextmanager
def kept():
    """Whatever handles these signals before the block, in C or in Python, handles them after it."""
    libc = ctypes.CDLL(None)
    actions = {number: ctypes.create_string_buffer(_SIZE) for number in _TAKEN}
    for number, action in actions.items():
        libc.sigaction(number, None, action)
    try:
        yield
    finally:
        for number, action in actions.items():
            libc.sigaction(number, action, None)
