"""The engine in this process: results share its memory, Python functions run in the middle of a run."""

from __future__ import annotations

import contextlib
from typing import Any, Callable

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _inproc
from interopinterp import _pb as pb
from interopinterp._transport.base import MetricFunction, PortionFound, Progress, TokensFound, Transport, answer
from interopinterp._transport.methods import STREAMING, UNARY
from interopinterp.errors import InterpError


class InProcess(Transport):
    """The way through the in-process door."""

    has_callbacks = True

    def __init__(self):
        super().__init__()
        self._client = _inproc.client()
        self.door = self._client.door

    def run(self, request: Any) -> Any:
        service, method, response = UNARY[type(request)]
        return response.FromString(self._client.call(f"{service}/{method}", request.SerializeToString()))

    def send(self, request: Any) -> None:
        with contextlib.suppress(InterpError):
            self.run(request)

    def follow(self, request: Any, progress: Progress) -> Any:
        def told(message: bytes) -> None:
            step = pb.FollowCallResponse.FromString(message).progress
            progress(step.done, step.total)

        service, method, response = UNARY[type(request)]
        followed, last, _ = STREAMING[pb.FollowCallRequest]
        with self.loans() as loans:
            asked = pb.FollowCallRequest(
                method=f"{service}/{method}", request=request.SerializeToString(), progress_callback=loans.callback(told))
            reply = self._client.call(f"{followed}/{last}", asked.SerializeToString())
        return response.FromString(pb.FollowCallResponse.FromString(reply).response)

    def run_plan(self, request: pb.RunPlanRequest, progress: Progress | None = None,
                 tokens: TokensFound | None = None) -> pb.RunPlanResponse:
        if not progress and not tokens:
            return self.call(request)

        def told(message: bytes) -> None:
            step = pb.StreamPlanResponse.FromString(message)
            if step.HasField("progress") and progress:
                progress(step.progress.done, step.progress.total)
            elif step.HasField("new_tokens") and tokens:
                tokens(step.new_tokens.first_row, list(step.new_tokens.tokens))

        with self.loans() as loans:
            request.progress_callback = loans.callback(told)
            return self.call(request)

    def run_sweep(self, request: pb.RunSweepRequest, progress: Progress | None = None, metric: MetricFunction | None = None,
                  portion: PortionFound | None = None) -> pb.RunSweepResponse:
        def told(message: bytes) -> None:
            step = pb.StreamSweepResponse.FromString(message)
            if step.HasField("portion"):
                portion(step.portion)
            elif progress:
                progress(step.progress.done, step.progress.total)

        def measure(message: bytes) -> bytes:
            question = pb.MetricCall.FromString(message)
            return pb.MetricReply(value=answer(metric, self.borrow(question.logits), question.is_probe)).SerializeToString()

        with self.loans() as loans:
            request.partial_results = portion is not None
            if progress or portion:
                request.progress_callback = loans.callback(told)
            if metric:
                request.sweep.callback.id = loans.callback(measure)
            return self.call(request)

    def lend(self, value: Any) -> tuple[pb.Tensor, str]:
        if arrays.is_torch(value):
            value = value.detach()
        handle = self._client.put(value)
        name = f"tensors/{handle}"
        return pb.Tensor(ref=pb.TensorRef(name=name)), name

    def take_back(self, names: list[str], callbacks: list[int]) -> None:
        for name in names:
            self._client.release(_handle(name))
        for number in callbacks:
            self._client.forget(number)

    def take(self, tensor: pb.Tensor) -> Any:
        if tensor.WhichOneof("kind") == "value":
            return arrays.from_numpy(decoded(tensor.value))
        return self.borrow(tensor.ref)

    def borrow(self, ref: pb.TensorRef) -> Any:
        """A tensor of the engine as an array over its memory, which then stays as long as the array."""
        handle = _handle(ref.name)
        try:
            torch = arrays.torch()
            if torch is not None:
                tensor = torch.from_dlpack(self._client.dlpack(handle))
                # torch knows no read-only tensors, and these are everybody's.
                return tensor.clone() if ref.read_only else tensor
            if ref.data_type == pb.DATA_TYPE_BFLOAT16:
                return arrays.widen(self._client.export(handle, raw=True))
            array = self._client.export(handle)
            if ref.read_only:
                array.flags.writeable = False
            return array
        finally:
            self._client.release(handle)

    def callback(self, function: Callable[[bytes], bytes | None]) -> int:
        return self._client.callback(function)


def decoded(data: pb.TensorData) -> np.ndarray:
    """The array of a tensor that came in a message."""
    if data.data_type == pb.DATA_TYPE_BFLOAT16:
        return arrays.widen(np.frombuffer(data.data, np.uint16)).reshape(tuple(data.shape))
    # A copy: the message's bytes are read-only.
    return np.frombuffer(data.data, arrays.NAMES[data.data_type]).reshape(tuple(data.shape)).copy()


def _handle(name: str) -> int:
    return int(name.rpartition("/")[2])
