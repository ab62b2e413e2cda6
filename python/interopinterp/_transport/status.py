"""What a gRPC status says, as an exception of interopinterp.errors. The details are google.rpc.Status, read field by field."""

from __future__ import annotations

import json
from typing import Any, Iterator

from interopinterp.errors import InterpError, from_code

_KEY = "grpc-status-details-bin"
_ERROR_INFO = b"google.rpc.ErrorInfo"
_SUGGESTIONS = "suggestions"
# What to do about failures that gRPC itself reports, by code.
_ADVICE = {
    4: ("DEADLINE_EXCEEDED", "The call to {door} took longer than this client waits ({message}): connect(address, timeout=seconds) sets how "
        "long, None for ever. The model stays as it was."),
    14: ("SERVER_UNREACHABLE", "No server answers at {door}: start it there (interp serve), or correct the address. gRPC says: {message}")}


def error(call: Any, door: str) -> InterpError:
    """The exception of a failed call: reason and suggestions from its ErrorInfo, where there is one."""
    code, message = call.code().value[0], call.details() or ""
    for key, value in call.trailing_metadata() or ():
        if key == _KEY:
            reason, metadata = _error_info(value)
            if reason:
                return from_code(code, reason, message, tuple(json.loads(metadata.get(_SUGGESTIONS, "[]"))))
    reason, advice = _ADVICE.get(code, (call.code().name, "{message} ({door})"))
    return from_code(code, reason, advice.format(door=door, message=message))


def cancelled(door: str) -> InterpError:
    """The error of a call that was cancelled on this side."""
    return from_code(1, "CANCELLED", f"The call to {door} was cancelled.")


def _error_info(status: bytes) -> tuple[str, dict[str, str]]:
    for number, detail in _fields(status):
        if number != 3:
            continue
        any_fields = dict(_fields(detail))
        if any_fields.get(1, b"").rpartition(b"/")[2] == _ERROR_INFO:
            info = list(_fields(any_fields.get(2, b"")))
            reason = next((value.decode() for number, value in info if number == 1), "")
            pairs = (dict(_fields(value)) for number, value in info if number == 3)
            return reason, {pair.get(1, b"").decode(): pair.get(2, b"").decode() for pair in pairs}
    return "", {}


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a message; the others are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 2:
            length, at = _varint(message, at)
            yield key >> 3, message[at:at + length]
            at += length
        elif kind == 0:
            _, at = _varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            return


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            break
    return value, at
