"""Python functions in the middle of a run: the activation as an array over the engine's memory, and what they return."""

from __future__ import annotations

import functools
from typing import Any, Callable

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp.errors import InvalidArgumentError
from interopinterp.hook_points import HookPoint, LensHandle


def of_hooks(scope: Any, point: HookPoint, handles: list[LensHandle], gradient: bool) -> int:
    """The number of a callback that runs hooks in order on the activation (or gradient) of a point."""
    return _register(scope, point, functools.partial(_run, [handle.user_hook for handle in handles], point, gradient, scope))


def of_torch(scope: Any, point: HookPoint) -> int:
    """The number of a callback that sends the activation through a point's own torch hooks (register_forward_hook)."""

    def call(value: Any) -> Any:
        point._passes = True
        try:
            return point(value)
        finally:
            point._passes = False

    return _register(scope, point, call)


def has_torch_hooks(point: HookPoint) -> bool:
    """Whether torch hooks stand at a point that is a torch module."""
    own = point.__dict__
    return bool(own.get("_forward_hooks") or own.get("_forward_pre_hooks"))


def _register(scope: Any, point: HookPoint, function: Callable[[Any], Any]) -> int:
    transport = scope.model.transport
    def call(message: bytes) -> bytes | None:
        activation = pb.HookCall.FromString(message).activation
        value = transport.borrow(activation)
        # numpy has a copy of what lies on another device: what a hook writes into it must be sent back.
        seen = value.copy() if isinstance(value, np.ndarray) and activation.device != "cpu" else None
        returned = function(value)
        if returned is None or returned is value:
            if seen is None or np.array_equal(seen, value, equal_nan=True):
                return None
            returned = value
        # A replacement is the engine's from here on.
        return pb.HookReply(replacement=transport.lend(returned)[0].ref).SerializeToString()

    return scope.loans.callback(call)


def _run(hooks: list[Callable], point: HookPoint, gradient: bool, scope: Any, value: Any) -> Any:
    shape, current = tuple(value.shape), value
    recorder = scope.recorder
    for hook in hooks:
        version = current._version if recorder is not None and arrays.is_torch(current) else 0
        returned = hook(current, hook=point)
        if recorder is not None and (returned is not None and returned is not current or arrays.is_torch(current)
                                     and current._version != version):
            recorder.edited.add(point.name)
        if returned is not None:
            current = _checked(returned, hook, point, shape, gradient)
    return current


def _checked(returned: Any, hook: Callable, point: HookPoint, shape: tuple[int, ...], gradient: bool) -> Any:
    if gradient and isinstance(returned, tuple) and len(returned) == 1:
        returned = returned[0]
    inner = hook.func if isinstance(hook, functools.partial) else hook
    name = getattr(inner, "__name__", type(inner).__name__)
    if not arrays.is_array(returned) or isinstance(returned, np.generic):
        raise InvalidArgumentError("HOOK_RETURN_TYPE",
                                   f"The hook {name} at '{point.name}' returned a {type(returned).__name__}; None (keep the "
                                   f"activation) or an array {list(shape)} is expected.")
    if tuple(returned.shape) != shape:
        raise InvalidArgumentError("HOOK_RETURN_SHAPE",
                                   f"The hook {name} at '{point.name}' returned {list(returned.shape)}; the activation is "
                                   f"{list(shape)}. Nothing is broadcast.")
    return returned


def torch_grad_enabled() -> bool:
    """Whether torch is in use and records gradients now."""
    torch = arrays.torch()
    return torch is not None and torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
