"""Composition of matrices."""

from __future__ import annotations

from typing import Any


def composition_scores(left: Any, right: Any, broadcast_dims: bool = True) -> Any:
    """||left @ right|| / (||left|| ||right||), Frobenius norms, of FactoredMatrix operands.

    left [*left, a, b], right [*right, b, c]; returns [*left, *right], or with broadcast_dims=False the leading axes broadcast.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; TransformerLens 3.9, utilities.composition_scores.
    """
    if broadcast_dims:
        for _ in range(right.ndim - 2):
            left = left.unsqueeze(left.ndim - 2)
        for _ in range(left.ndim - right.ndim):
            right = right.unsqueeze(0)
    return (left @ right).norm() / (left.norm() * right.norm())
