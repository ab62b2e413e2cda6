"""Small helpers on arrays."""

from __future__ import annotations

from typing import Any

from interopinterp import _arrays as arrays
from interopinterp.errors import InvalidArgumentError


def get_corner(tensor: Any, n: int = 3) -> Any:
    """The first n entries along every axis; of a FactoredMatrix its own corner."""
    return tensor.get_corner(n) if hasattr(tensor, "get_corner") else tensor[(slice(n),) * tensor.ndim]


def remove_batch_dim(tensor: Any) -> Any:
    """[1, ...] -> [...]; anything else as it is."""
    return tensor[0] if tensor.shape[0] == 1 else tensor


def transpose(tensor: Any) -> Any:
    """Swaps the last two axes."""
    return tensor.transpose(-1, -2) if arrays.is_torch(tensor) else arrays.to_numpy(tensor).swapaxes(-1, -2)


def is_square(x: Any) -> bool:
    """Whether it is one square matrix."""
    return x.ndim == 2 and x.shape[0] == x.shape[1]


def is_lower_triangular(x: Any) -> bool:
    """Whether it is a square matrix with nothing above the diagonal."""
    return is_square(x) and bool((x == (x.tril() if arrays.is_torch(x) else _tril(x))).all())


def check_rank(value: Any, rank: int, what: str, axes: str) -> None:
    """Refuses an array of another rank."""
    if value.ndim != rank:
        raise InvalidArgumentError("WRONG_RANK", f"{what} is {list(value.shape)}; {axes} is expected.")


def _tril(x: Any) -> Any:
    import numpy as np

    return np.tril(x)
