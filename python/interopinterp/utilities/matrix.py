"""Composition of matrices."""

from __future__ import annotations

from typing import Any

from interopinterp.errors import InvalidArgumentError


def composition_scores(left: Any, right: Any, broadcast_dims: bool = True) -> Any:
    """||left @ right|| / (||left|| ||right||), Frobenius norms, of FactoredMatrix operands.

    left [*left, a, b], right [*right, b, c]; returns [*left, *right], or with broadcast_dims=False the leading axes broadcast.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; TransformerLens 3.9, utilities.composition_scores.
    """
    if left.rdim != right.ldim:
        raise InvalidArgumentError("FACTORS_DO_NOT_MATCH",
                                   f"{list(left.shape)} and {list(right.shape)} do not compose: {left.rdim} is not {right.ldim}.")
    if broadcast_dims:
        before, behind = left.ndim - 2, right.ndim - 2
        for axis in range(before):
            right = right.unsqueeze(axis)
        for axis in range(behind):
            left = left.unsqueeze(axis + before)
    product = left.collapse_l() @ right.collapse_r()
    return (product ** 2).sum((-2, -1)) ** 0.5 / (left.norm() * right.norm())
