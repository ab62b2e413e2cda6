"""The engine's errors as Python exceptions: one class per code, each also the built-in exception that a reader would expect."""

from __future__ import annotations

import difflib
from typing import Iterable


class InterpError(Exception):
    """What the engine refused or failed to do.

    code         gRPC's number for the kind of error (INVALID_ARGUMENT is 3)
    reason       UPPER_SNAKE_CASE name of this very error, stable for programs to compare
    suggestions  valid names near the one that was given, nearest first
    detail       the engine's own account with its stack, for a bug report
    """

    code = 2

    def __init__(self, reason: str, message: str, suggestions: tuple[str, ...] = (), detail: str = ""):
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.suggestions = tuple(suggestions)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.message} [{self.reason}]"


class CancelledError(InterpError):
    code = 1


class InvalidArgumentError(InterpError, ValueError):
    code = 3


class DeadlineExceededError(InterpError, TimeoutError):
    code = 4


class NotFoundError(InterpError, KeyError):
    code = 5


class AlreadyExistsError(InterpError):
    code = 6


class PermissionDeniedError(InterpError, PermissionError):
    code = 7


class ResourceExhaustedError(InterpError, MemoryError):
    code = 8


class FailedPreconditionError(InterpError, RuntimeError):
    code = 9


class OutOfRangeError(InterpError, IndexError):
    code = 11


class UnimplementedError(InterpError, NotImplementedError):
    code = 12


class InternalError(InterpError, RuntimeError):
    code = 13


class UnavailableError(InterpError, ConnectionError):
    code = 14


class DataLossError(InterpError, ValueError):
    code = 15


class UnauthenticatedError(InterpError, PermissionError):
    code = 16


class InterpWarning(UserWarning):
    """Something that runs, but may not mean what it seems to."""


_BY_CODE = {kind.code: kind for kind in InterpError.__subclasses__()}


def from_code(code: int, reason: str, message: str, suggestions: tuple[str, ...] = (), detail: str = "") -> InterpError:
    """The exception for a code; InterpError itself for one that this version does not know."""
    return _BY_CODE.get(code, InterpError)(reason, message, suggestions, detail)


def unknown(reason: str, what: str, name: str, valid: Iterable[str], note: str = "") -> NotFoundError:
    """The error for a name that does not exist, with the valid names nearest to it; note says what else to do."""
    valid = list(dict.fromkeys(valid))
    likeness = {v: difflib.SequenceMatcher(None, name.lower(), v.lower()).ratio() for v in valid}
    near = [v for v in sorted(valid, key=lambda v: -likeness[v]) if likeness[v] >= 0.6][:3]
    near = near or [v for v in valid if len(name) > 2 and name.lower() in v.lower()][:3]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return NotFoundError(reason, f"Unknown {what} {name!r}.{hint}{note and ' ' + note}", tuple(near))
