"""What keyword arguments that TransformerLens takes mean here: done, or refused by name."""

from __future__ import annotations

from typing import Any, Iterable

from interopinterp.errors import UnimplementedError, unknown


def refuse(call: str, given: dict[str, Any], reasons: dict[str, str]) -> None:
    """Refuses options that are set although this engine does not have them."""
    for name, reason in reasons.items():
        if given.get(name) not in (None, False):
            raise UnimplementedError("NOT_OFFERED", f"{call}({name}={given[name]!r}): {reason}")


def refuse_unknown(call: str, given: dict[str, Any], known: Iterable[str]) -> None:
    """Refuses options that nobody reads, instead of passing over them in silence."""
    for name in given:
        raise unknown("UNKNOWN_ARGUMENT", f"argument of {call}", name, known)
