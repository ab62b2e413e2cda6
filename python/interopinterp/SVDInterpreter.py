"""Singular directions of weights, read as tokens. Source: TransformerLens 3.9, SVDInterpreter; Millidge and Black 2022."""

from __future__ import annotations

from typing import Any

from interopinterp import _pb as pb
from interopinterp.errors import InvalidArgumentError, unknown

_SOURCES = {"OV": pb.DIRECTION_SOURCE_OV, "w_in": pb.DIRECTION_SOURCE_MLP_IN, "w_out": pb.DIRECTION_SOURCE_MLP_OUT}


class SVDInterpreter:
    """Reads what singular directions of a model's weights stand for."""

    def __init__(self, model: Any):
        self.model = model
        self.cfg = model.cfg

    def get_singular_vectors(self, vector_type: str, layer_index: int, num_vectors: int = 10, head_index: int | None = None) -> Any:
        """Right singular vectors through the unembedding: [d_vocab, 1, num_vectors], from the largest singular value down.

        vector_type  "OV" (W_V W_O of head_index), "w_in" (what an MLP's neurons read) or "w_out" (what they write)
        The sign of each vector is free.
        """
        return self._directions(vector_type, layer_index, num_vectors, head_index)[0]

    def get_singular_values(self, vector_type: str, layer_index: int, num_vectors: int = 10, head_index: int | None = None) -> Any:
        """The singular values of the same: [num_vectors]."""
        return self._directions(vector_type, layer_index, num_vectors, head_index)[1]

    def _directions(self, vector_type: str, layer: int, count: int, head: int | None) -> tuple[Any, Any]:
        if vector_type not in _SOURCES:
            raise unknown("UNKNOWN_VECTOR_TYPE", "vector_type", vector_type, _SOURCES)
        if vector_type == "OV" and head is None:
            raise InvalidArgumentError("HEAD_MISSING", "vector_type 'OV' is of a head: give head_index.")
        self.model.check_weights()
        found = self.model.transport.call(pb.GetSingularDirectionsRequest(
            model=self.model._name, source=_SOURCES[vector_type], layer=layer, head=head or 0, count=count))
        take = self.model.transport.take
        return take(found.logits)[:, None, :], take(found.values)


__all__ = ["SVDInterpreter"]
