"""Which method a request belongs to: its type says it, and whether one answer or a stream of them is wanted."""

from __future__ import annotations

from google.protobuf import descriptor_pb2

from interopinterp import _pb as pb
from interopinterp._pb import (
    analyses_pb2, circuits_pb2, dictionaries_pb2, heads_pb2, lenses_pb2, models_pb2, neurons_pb2, progress_pb2, runs_pb2, server_pb2,
    streams_pb2, tensors_pb2, tokens_pb2, weights_pb2)

_MODULES = (
    analyses_pb2, circuits_pb2, dictionaries_pb2, heads_pb2, lenses_pb2, models_pb2, neurons_pb2, progress_pb2, runs_pb2, server_pb2,
    streams_pb2, tensors_pb2, tokens_pb2, weights_pb2)


def _collect() -> tuple[dict, dict]:
    unary, streaming = {}, {}
    for module in _MODULES:
        for service in module.DESCRIPTOR.services_by_name.values():
            described = descriptor_pb2.ServiceDescriptorProto()
            service.CopyToProto(described)
            for method, raw in zip(service.methods, described.method):
                request, response = (getattr(pb, kind.name) for kind in (method.input_type, method.output_type))
                (streaming if raw.server_streaming or raw.client_streaming else unary)[request] = (service.full_name, method.name, response)
    return unary, streaming


# Request type to (service, method, response type).
UNARY, STREAMING = _collect()
