"""safetensors files of numpy arrays: an 8-byte length, a JSON header, the bytes."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from interopinterp.errors import DataLossError, InvalidArgumentError, NotFoundError

_TYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1", "U8": "u1", "BOOL": "?"}
_CODES = {np.dtype(name): code for code, name in _TYPES.items()}
_LARGEST_HEADER = 100_000_000


def save(path: str | os.PathLike, tensors: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Writes arrays; the file is there as a whole or not at all. Raises FOLDER_NOT_FOUND."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, array in tensors.items():
        if array.dtype not in _CODES:
            raise InvalidArgumentError("NO_TENSOR_TYPE", f"'{name}' is {array.dtype}, which a safetensors file has no type for.")
        header[name] = {"dtype": _CODES[array.dtype], "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    target = Path(path)
    if not target.parent.is_dir():
        raise NotFoundError("FOLDER_NOT_FOUND", f"'{target}' cannot be written: there is no folder '{target.parent}'. Make it first.")
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        try:
            file.write(len(text).to_bytes(8, "little") + text)
            for array in tensors.values():
                file.write(np.ascontiguousarray(array).tobytes())
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise


def load(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(arrays over the file's memory, copied where they are written to; metadata). Raises FILE_NOT_FOUND, CORRUPT_FILE."""
    if not os.path.isfile(path):
        raise NotFoundError("FILE_NOT_FOUND", f"There is no file '{os.fspath(path)}'.")
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        _require(8 <= size and 2 <= length <= min(size - 8, _LARGEST_HEADER), path, "the header's length does not fit the file")
        try:
            header = json.loads(file.read(length))
        except ValueError:
            header = None
    _require(isinstance(header, dict), path, "the header is no JSON object")
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        try:
            dtype, shape, (start, end) = np.dtype(_TYPES[entry["dtype"]]), tuple(entry["shape"]), entry["data_offsets"]
            fits = all(isinstance(n, int) and n >= 0 for n in (*shape, start, end)) and end - start == math.prod(shape) * dtype.itemsize
        except (KeyError, TypeError, ValueError):
            fits = False
        _require(fits and 8 + length + end <= size, path, f"the entry '{name}' does not fit the file")
        empty = end == start
        tensors[name] = np.empty(shape, dtype) if empty else np.asarray(np.memmap(path, dtype, "c", 8 + length + start, shape))
    return tensors, metadata


def _require(condition: bool, path: Any, what: str) -> None:
    if not condition:
        raise DataLossError("CORRUPT_FILE", f"{os.fspath(path)} is no safetensors file: {what}.")
