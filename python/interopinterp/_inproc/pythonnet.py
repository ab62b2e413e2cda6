"""The loader for those who use pythonnet: the engine's assemblies become importable too (import InteropInterp.Python)."""

from __future__ import annotations

import atexit
import gc
import os
from pathlib import Path
from typing import Callable

from interopinterp._inproc import locate
from interopinterp.errors import FailedPreconditionError


def load(home: Path, dotnet: Path) -> Callable[[int, int, int], int]:
    """Starts .NET through pythonnet, unless it runs already, and returns the function that fills in the door's table."""
    import pythonnet

    running = pythonnet.get_runtime_info()
    if running is None:
        # At exit pythonnet collects garbage twenty times over: eight seconds where torch was imported. What is frozen is left out.
        atexit.register(gc.unfreeze)
        pythonnet.load("coreclr", runtime_config=str(home / locate.RUNTIME_CONFIG), dotnet_root=str(dotnet))
        atexit.register(gc.freeze)
    elif running.kind != "CoreCLR":
        raise FailedPreconditionError(
            "DOTNET_WRONG_RUNTIME", f"pythonnet runs {running.kind} in this process; the engine needs CoreCLR. "
            "Set PYTHONNET_RUNTIME=coreclr, or use the engine before 'import clr'.")
    # A forked child has no runtime that could be shut down: it would wait for it for ever.
    os.register_at_fork(after_in_child=lambda: atexit.unregister(pythonnet.unload))
    import clr

    clr.AddReference(str(home / locate.ASSEMBLY))
    from InteropInterp.Python import PythonNet

    return PythonNet.Table
