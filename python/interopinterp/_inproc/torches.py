"""Which libtorch the engine may use, given the torch that this Python could import. Nothing is imported to find out."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from interopinterp.errors import FailedPreconditionError


def choose() -> tuple[str, bool]:
    """(an installed torch's lib folder or "", whether the engine must load private copies of its own libtorch).

    Where torch can be imported, now or later, its libraries carry the names of ours but another layout, so ours are loaded as
    private copies. $INTEROPINTERP_LIBTORCH makes that torch's own libraries serve both, which takes a torch 2.10 to 2.12.
    """
    named = os.environ.get("INTEROPINTERP_LIBTORCH", "")
    importable = _importable()
    if not named:
        return "", os.environ.get("INTEROPINTERP_PRIVATE_LIBTORCH", "1" if importable else "0") == "1"
    lib = Path(named)
    lib = lib / "lib" if (lib / "lib").is_dir() else lib
    if importable and importable.resolve() != lib.resolve():
        raise FailedPreconditionError(
            "LIBTORCH_CONFLICT", f"INTEROPINTERP_LIBTORCH={named}, but 'import torch' would load {importable}: two libtorches of one "
            "name in a process read each other's memory wrongly. Name that folder (torch 2.10 to 2.12), or unset the variable.")
    return named, False


def _importable() -> Path | None:
    """The lib folder of the torch that 'import torch' gives or gave."""
    try:
        spec = importlib.util.find_spec("torch")
    except ValueError:  # imported already, and without a spec: whatever it is, keep away from it
        return Path("of unknown origin")
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) / "lib" if places else None
