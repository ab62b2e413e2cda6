"""Tensors of a server on this machine, through a shared memory file that the server made."""

from __future__ import annotations

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb


def mapped(path: str, ref: pb.TensorRef) -> np.ndarray | None:
    """The tensor in a file, copied page by page where it is written to; None where this machine has no such file."""
    try:
        return np.asarray(np.memmap(path, arrays.NAMES[ref.data_type], mode="c", shape=tuple(ref.shape)))
    except (OSError, ValueError):
        return None
