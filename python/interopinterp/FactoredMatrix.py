"""Products of two matrices that are kept apart."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp.errors import InvalidArgumentError


class FactoredMatrix:
    """AB of A [..., ldim, mdim] and B [..., mdim, rdim], never multiplied out where that is not needed; leading axes broadcast.

    Source: TransformerLens 3.9, FactoredMatrix. numpy arrays or torch tensors.
    """

    # numpy then leaves x @ self to __rmatmul__.
    __array_ufunc__ = None

    def __init__(self, A: Any, B: Any):
        A, B = _matrix(A), _matrix(B)
        if A.shape[-1] != B.shape[-2]:
            raise InvalidArgumentError("FACTORS_DO_NOT_MATCH",
                                       f"A is {list(A.shape)} and B {list(B.shape)}: A's last axis ({A.shape[-1]}) must be "
                                       f"as long as B's last but one ({B.shape[-2]}).")
        leading = np.broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-2]))
        self.A, self.B = _broadcast(A, leading), _broadcast(B, leading)
        self.ldim, self.mdim, self.rdim = A.shape[-2], A.shape[-1], B.shape[-1]
        self.has_leading_dims = bool(leading)
        self.shape = (*leading, self.ldim, self.rdim)
        self.ndim = len(self.shape)

    @property
    def AB(self) -> Any:
        """The product: [..., ldim, rdim]."""
        return self.A @ self.B

    @property
    def BA(self) -> Any:
        """The product the other way round: [..., mdim, mdim]."""
        if self.ldim != self.rdim:
            raise InvalidArgumentError("NOT_SQUARE", f"BA needs a square product; this is [{self.ldim}, {self.rdim}].")
        return self.B @ self.A

    @property
    def T(self) -> "FactoredMatrix":
        """The transpose."""
        return FactoredMatrix(_transposed(self.B), _transposed(self.A))

    @property
    def pair(self) -> tuple[Any, Any]:
        """(A, B)."""
        return self.A, self.B

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, FactoredMatrix):
            return (self @ other.A) @ other.B
        if other.ndim < 2:
            return (self.A @ (self.B @ other[..., None]))[..., 0]
        if other.shape[-2] != self.rdim:
            raise InvalidArgumentError("FACTORS_DO_NOT_MATCH",
                                       f"{list(self.shape)} @ {list(other.shape)}: {self.rdim} is not {other.shape[-2]}.")
        # The narrower middle stays factored.
        return FactoredMatrix(self.A, self.B @ other) if self.rdim > self.mdim else FactoredMatrix(self.AB, other)

    def __rmatmul__(self, other: Any) -> Any:
        if other.ndim < 2:
            return ((other[..., None, :] @ self.A) @ self.B)[..., 0, :]
        return FactoredMatrix(other @ self.A, self.B) if self.ldim > self.mdim else FactoredMatrix(other, self.AB)

    def __mul__(self, scalar: Any) -> "FactoredMatrix":
        return FactoredMatrix(self.A * scalar, self.B)

    __rmul__ = __mul__

    @functools.cached_property
    def _svd(self) -> tuple[Any, Any, Any]:
        linalg = sys.modules["torch"].linalg if arrays.is_torch(self.A) else np.linalg
        qa, ra = linalg.qr(self.A)
        qb, rb = linalg.qr(_transposed(self.B))
        u, s, vh = linalg.svd(ra @ _transposed(rb), full_matrices=False)
        return qa @ u, s, qb @ _transposed(vh)

    def svd(self) -> tuple[Any, Any, Any]:
        """(U, S, V) with AB = U diag(S) V^T: [..., ldim, k], [..., k], [..., rdim, k]."""
        return self._svd

    U = property(lambda self: self._svd[0], doc="Left singular vectors, as columns.")
    S = property(lambda self: self._svd[1], doc="Singular values, largest first.")
    V = property(lambda self: self._svd[2], doc="Right singular vectors, as columns.")
    Vh = property(lambda self: self._svd[2], doc="V, under the name that it once had.")

    @property
    def eigenvalues(self) -> Any:
        """The eigenvalues of AB that are not zero by construction: those of BA, complex [..., mdim]."""
        if arrays.is_torch(self.A):
            return sys.modules["torch"].linalg.eig(self.BA).eigenvalues
        return np.linalg.eigvals(self.BA)

    def norm(self) -> Any:
        """The Frobenius norm of AB: [...]."""
        return (self.S ** 2).sum(-1) ** 0.5

    def make_even(self) -> "FactoredMatrix":
        """The same product as (U sqrt(S)) (sqrt(S) V^T)."""
        root = self.S ** 0.5
        return FactoredMatrix(self.U * root[..., None, :], root[..., :, None] * _transposed(self.V))

    def collapse_l(self) -> Any:
        """diag(S) V^T: [..., mdim, rdim]."""
        return self.S[..., :, None] * _transposed(self.V)

    def collapse_r(self) -> Any:
        """U diag(S): [..., ldim, mdim]."""
        return self.U * self.S[..., None, :]

    def get_corner(self, k: int = 3) -> Any:
        """The first k rows and columns of the product, along leading axes too."""
        return (self.A[..., :k, :] @ self.B[..., :, :k])[(slice(k),) * self.ndim]

    def unsqueeze(self, k: int) -> "FactoredMatrix":
        """A leading axis of length 1 at place k."""
        def grown(x: Any) -> Any:
            return x.unsqueeze(k) if arrays.is_torch(x) else np.expand_dims(x, k)
        return FactoredMatrix(grown(self.A), grown(self.B))

    def __getitem__(self, index: Any) -> "FactoredMatrix":
        """The same part of the product; the last two axes stay: an int there gives a matrix of one row or column."""
        parts = list(index) if isinstance(index, tuple) else [index]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at:at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        if len(parts) > self.ndim:
            raise InvalidArgumentError("TOO_MANY_INDICES",
                                       f"{len(parts)} indices for a factored matrix of {self.ndim} axes {list(self.shape)}.")
        leading, rows, columns = self.ndim - 2, slice(None), slice(None)
        if len(parts) > leading:
            rows = _kept(parts[leading], self.ldim, "row")
        if len(parts) > leading + 1:
            columns = _kept(parts[leading + 1], self.rdim, "column")
        head = tuple(parts[:leading])
        return FactoredMatrix(self.A[head][..., rows, :], self.B[head][..., :, columns])

    def __repr__(self) -> str:
        return f"FactoredMatrix: Shape({list(self.shape)}), Hidden Dim({self.mdim})"


def _kept(index: Any, size: int, what: str) -> Any:
    if isinstance(index, (int, np.integer)):
        if not -size <= index < size:
            raise InvalidArgumentError("INDEX_OUT_OF_RANGE", f"The {what} {index} is out of range: there are {size}.")
        return slice(index, index + 1 or None)
    return index


def _matrix(value: Any) -> Any:
    value = value if arrays.is_torch(value) else np.asarray(value)
    if value.ndim < 2:
        raise InvalidArgumentError("NOT_A_MATRIX", f"A factor is {list(value.shape)}; [..., rows, columns] is expected.")
    return value


def _broadcast(value: Any, leading: tuple[int, ...]) -> Any:
    shape = (*leading, *value.shape[-2:])
    return value.expand(shape) if arrays.is_torch(value) else np.broadcast_to(value, shape)


def _transposed(value: Any) -> Any:
    return value.transpose(-2, -1) if arrays.is_torch(value) else np.swapaxes(value, -2, -1)
