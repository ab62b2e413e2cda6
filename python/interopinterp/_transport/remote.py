"""A server, over gRPC: results stay there until they are looked at."""

from __future__ import annotations

import collections
import contextlib
import queue
import secrets
import threading
from typing import Any, Callable, Iterator

import grpc
import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._pb import (
    analyses_pb2_grpc, circuits_pb2_grpc, dictionaries_pb2_grpc, heads_pb2_grpc, lenses_pb2_grpc, models_pb2_grpc, neurons_pb2_grpc, progress_pb2_grpc,
    runs_pb2_grpc, server_pb2_grpc, streams_pb2_grpc, tensors_pb2_grpc, tokens_pb2_grpc, weights_pb2_grpc)
from interopinterp._transport import shared_memory
from interopinterp._transport.base import MetricFunction, PortionFound, Progress, TokensFound, Transport, answer
from interopinterp._transport.calls import Calls
from interopinterp._transport.inproc import decoded
from interopinterp._transport.methods import STREAMING, UNARY
from interopinterp._transport.remote_tensor import RemoteTensor
from interopinterp.errors import FailedPreconditionError, InterpError, InvalidArgumentError, UnavailableError

_STUBS = {f"interopinterp.v1.{name.removesuffix('Stub')}": stub for module in (
    analyses_pb2_grpc, circuits_pb2_grpc, dictionaries_pb2_grpc, heads_pb2_grpc, lenses_pb2_grpc, models_pb2_grpc, neurons_pb2_grpc, progress_pb2_grpc,
    runs_pb2_grpc, server_pb2_grpc, streams_pb2_grpc, tensors_pb2_grpc, tokens_pb2_grpc, weights_pb2_grpc)
    for name, stub in vars(module).items() if name.endswith("Stub")}
_SCHEMES = ("grpc", "grpcs", "unix")
_INLINE = 1 << 18
_CHUNK = 1 << 20
_RETRIES = 3
_OPTIONS = [
    ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.http2.max_frame_size", 1 << 20),
    ("grpc.use_local_subchannel_pool", 1)]


class Grpc(Transport):
    """A connection to a server.

    address      grpc://host:port, grpcs://host:port (TLS), or unix:///path
    token        sent as "authorization: Bearer ..." with every call
    credentials  grpc.ChannelCredentials for TLS with certificates of one's own
    timeout      seconds after which a call is given up; None: never
    """

    has_callbacks = False

    def __init__(self, address: str, token: str | None = None, credentials: Any = None, timeout: float | None = None):
        super().__init__()
        scheme, separator, rest = address.partition("://")
        if not separator or scheme not in _SCHEMES or not rest or scheme != "unix" and not rest.rpartition(":")[2].isdigit():
            raise InvalidArgumentError(
                "UNKNOWN_ADDRESS", f"The address {address!r} is none of grpc://host:port, grpcs://host:port and unix:///path.")
        self.door = address
        self._timeout = timeout
        # What this client holds on the server belongs to its session.
        self._metadata = [("interopinterp-session", secrets.token_urlsafe(24))] + ([("authorization", f"Bearer {token}")] if token else [])
        self._is_local = scheme == "unix"
        target = address if self._is_local else rest
        options = [*_OPTIONS, ("grpc.enable_http_proxy", 0)] if self._is_local else _OPTIONS
        if scheme == "grpcs" or credentials is not None:
            self._channel = grpc.secure_channel(target, credentials or grpc.ssl_channel_credentials(), options)
        else:
            self._channel = grpc.insecure_channel(target, options)
        self._stubs = {name: stub(self._channel) for name, stub in _STUBS.items()}
        self._calls = Calls(address)
        self._keeping: threading.Event | None = None
        self._forgotten: collections.deque[str] = collections.deque()

    def run(self, request: Any) -> Any:
        self._flush()
        response = self._calls.unary(self._method(UNARY[type(request)]), request, timeout=self._timeout, metadata=self._metadata)
        if self._keeping is None or self._keeping.is_set():
            # Without it the server would end the session some minutes after the last call.
            self._keeping = self._calls.keep(self._method(STREAMING[pb.KeepSessionRequest]), pb.KeepSessionRequest(), metadata=self._metadata)
        return response

    def send(self, request: Any) -> None:
        self._calls.send(self._method(UNARY[type(request)]), request, metadata=self._metadata)

    def follow(self, request: Any, progress: Progress) -> Any:
        service, method, response = UNARY[type(request)]
        for message in self._stream(pb.FollowCallRequest(method=f"{service}/{method}", request=request.SerializeToString())):
            if message.HasField("progress"):
                progress(message.progress.done, message.progress.total)
        return response.FromString(message.response)

    def run_plan(self, request: pb.RunPlanRequest, progress: Progress | None = None,
                 tokens: TokensFound | None = None) -> pb.RunPlanResponse:
        if not progress and not tokens:
            return self.call(request)
        for message in self._stream(request):
            kind = message.WhichOneof("kind")
            if kind == "progress" and progress:
                progress(message.progress.done, message.progress.total)
            elif kind == "new_tokens" and tokens:
                tokens(message.new_tokens.first_row, list(message.new_tokens.tokens))
        return message.result

    def run_sweep(self, request: pb.RunSweepRequest, progress: Progress | None = None, metric: MetricFunction | None = None,
                  portion: PortionFound | None = None) -> pb.RunSweepResponse:
        if metric is None and progress is None and portion is None:
            return self.call(request)
        request.partial_results = portion is not None
        replies: queue.SimpleQueue = queue.SimpleQueue()
        if metric is None:
            messages = self._stream(request)
        else:
            request.sweep.callback.SetInParent()
            replies.put(pb.CallbackSweepRequest(request=request))
            messages = self._stream(iter(replies.get, None), pb.CallbackSweepRequest)
        try:
            for message in messages:
                kind = message.WhichOneof("kind")
                if kind == "progress" and progress:
                    progress(message.progress.done, message.progress.total)
                elif kind == "portion":
                    portion(message.portion)
                elif kind == "question":
                    value = answer(metric, self._logits(message.question), message.question.is_probe)
                    replies.put(pb.CallbackSweepRequest(reply=pb.MetricReply(value=value)))
        finally:
            replies.put(None)
            messages.close()
        return message.result

    def _logits(self, question: pb.MetricQuestion) -> Any:
        """A cell's logits [rows, pos, vocabulary]; NaN where the engine knows that the metric does not look."""
        given = question.logits
        array = decoded(given.value) if given.HasField("value") else self.read(given.ref)
        if array.shape[1] < question.positions:
            whole = np.full((array.shape[0], question.positions, array.shape[2]), np.nan, array.dtype)
            whole[:, -array.shape[1]:] = array
            array = whole
        return arrays.from_numpy(array)

    def lend(self, value: Any) -> tuple[pb.Tensor, str]:
        if isinstance(value, RemoteTensor) and value.ref is not None and value._transport is self and not value.is_fetched:
            return pb.Tensor(ref=value.ref), ""
        array = arrays.to_numpy(value)
        if array.dtype.name not in arrays.DATA_TYPES:
            raise InvalidArgumentError("NO_TENSOR_TYPE", f"No tensor has the element type {array.dtype}; convert the array first.")
        header = dict(data_type=arrays.DATA_TYPES[array.dtype.name], shape=array.shape)
        data = memoryview(np.ascontiguousarray(array)).cast("B") if array.size else memoryview(b"")
        if len(data) <= _INLINE:
            return pb.Tensor(value=pb.TensorData(data=bytes(data), **header)), ""

        def messages():
            yield pb.CreateTensorRequest(header=pb.TensorHeader(**header))
            for at in range(0, len(data), _CHUNK):
                yield pb.CreateTensorRequest(chunk=bytes(data[at:at + _CHUNK]))

        upload = self._method(STREAMING[pb.CreateTensorRequest])
        ref = self._calls.unary(upload, messages(), timeout=self._timeout, metadata=self._metadata).tensor
        return pb.Tensor(ref=ref), ref.name

    def take_back(self, names: list[str], callbacks: list[int]) -> None:
        self._forgotten.extend(names)

    def take(self, tensor: pb.Tensor) -> RemoteTensor:
        return RemoteTensor(self, tensor)

    def forget(self, name: str) -> None:
        """Lets a tensor go with the next call; safe in destructors."""
        self._forgotten.append(name)

    def read(self, ref: pb.TensorRef, ranges: list[tuple[int, int, int]] = ()) -> np.ndarray:
        """A tensor, or the part of it in (start, stop, step) of its first axes."""
        if self._is_local and ref.byte_size > _CHUNK and ref.data_type != pb.DATA_TYPE_BFLOAT16:
            mapped = shared_memory.mapped(self.call(pb.MapTensorRequest(name=ref.name)).path, ref)
            self.call(pb.UnmapTensorRequest(name=ref.name))
            if mapped is not None:
                return mapped[tuple(slice(*part) for part in ranges)].copy() if ranges else mapped
        shape = [len(range(*part)) for part in ranges] + list(ref.shape[len(ranges):])
        kind = pb.DATA_TYPE_FLOAT32 if ref.data_type == pb.DATA_TYPE_BFLOAT16 else ref.data_type
        array = np.empty(shape, arrays.NAMES[kind])
        data = memoryview(array).cast("B") if array.size else memoryview(bytearray())
        request = pb.ReadTensorRequest(name=ref.name, data_type=kind, ranges=[pb.AxisRange(start=a, stop=b, step=c) for a, b, c in ranges])
        at, left = 0, _RETRIES
        while at < len(data):
            request.offset = at
            try:
                for message in self._stream(request):
                    data[at:at + len(message.chunk)] = message.chunk
                    at += len(message.chunk)
                if at < len(data):
                    raise UnavailableError("SHORT_READ", f"{self.door} sent {at:,} of {len(data):,} bytes of {ref.name}.")
            except UnavailableError:
                left -= 1
                if left == 0:
                    raise
        return array

    def decoded(self, data: pb.TensorData) -> np.ndarray:
        """The array of a tensor that came in a message."""
        return decoded(data)

    def callback(self, function: Callable[[bytes], bytes | None]) -> int:
        raise FailedPreconditionError(
            "CALLBACKS_IN_PROCESS_ONLY",
            f"{self.door} cannot call Python functions in the middle of a run. Say what is to be done instead: "
            "interopinterp.ops has zero, mean, set, patch, add, scale, project, splice, feature, steer and noise, which go where a function "
            "would: fwd_hooks=[(name, ops.zero(heads=[1]))]. To only look at activations use run_with_cache. Functions run in process: "
            "interopinterp.HookedTransformer.")

    def close(self) -> None:
        if self._keeping is not None:
            with contextlib.suppress(InterpError):  # where the server is gone, the session is gone too
                self.call(pb.EndSessionRequest())
        self._calls.close(self._channel)

    def _method(self, place: tuple[str, str, Any]) -> Any:
        service, method, _ = place
        return getattr(self._stubs[service], method)

    def _stream(self, request: Any, kind: type | None = None) -> Iterator[Any]:
        self._flush()
        method = self._method(STREAMING[kind or type(request)])
        return self._calls.stream(method, request, timeout=self._timeout, metadata=self._metadata)

    def _flush(self) -> None:
        if not self._forgotten:
            return
        names = []
        while self._forgotten and len(names) < 1000:
            names.append(self._forgotten.popleft())
        self.send(pb.DeleteTensorsRequest(names=names))
