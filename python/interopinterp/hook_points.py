"""Hook points: the named places of a model where activations can be read and edited. Source of the calls: TransformerLens 3.9."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import Any, Callable, Literal, Optional, Sequence, Union

from interopinterp._module import Twofold
from interopinterp.errors import InvalidArgumentError
from interopinterp.ops import Op

HookFunction = Callable[..., Any]
NamesFilter = Optional[Union[Callable[[str], bool], Sequence[str], str]]
Direction = Literal["fwd", "bwd", "both"]


@dataclasses.dataclass(eq=False)
class LensHandle:
    """A hook that stands at a point.

    hook           what can be removed: hook.remove()
    is_permanent   stays through reset_hooks()
    context_level  of the `with model.hooks(...)` block that added it
    user_hook      the function, or an op of interopinterp.ops
    is_optional    added by a filter: where the point does not fire in a run, that is no mistake
    """

    hook: Any = None
    is_permanent: bool = False
    context_level: int | None = None
    user_hook: Any = None
    is_optional: bool = False


class _Removable:
    """torch's RemovableHandle, for one hook of a point."""

    def __init__(self, handles: Callable[[], list[LensHandle]], handle: LensHandle):
        self._handles, self._handle = handles, handle

    def remove(self) -> None:
        handles = self._handles()
        if self._handle in handles:
            handles.remove(self._handle)


class HookPoint(Twofold):
    """A named place of a model. As a function it is the identity, with its hooks run on what passes.

    name       full name: "blocks.0.attn.hook_q"
    ctx        a dict for hooks to keep things in; model.reset_hooks() empties it
    fwd_hooks, bwd_hooks  the hooks, in running order
    """

    def __init__(self):
        super().__init__()
        self.fwd_hooks: list[LensHandle] = []
        self.bwd_hooks: list[LensHandle] = []
        self.ctx: dict[Any, Any] = {}
        self.name: str | None = None
        self._passes = False

    def add_hook(
        self, hook: HookFunction | Op, dir: Literal["fwd", "bwd"] = "fwd", is_permanent: bool = False, level: int | None = None,
        prepend: bool = False, is_optional: bool = False,
    ) -> None:
        """Adds a hook: fn(activation, hook=HookPoint), which returns None to keep the activation (it may edit it in place) or what takes
        its place; with dir="bwd" the same of the gradient. Or an op of interopinterp.ops, which runs on a server too.

        is_permanent  stays through reset_hooks(); level  of a context; prepend  runs before the others
        """
        check_hook(hook, self.name)
        handles = self._handles(dir)
        handle = LensHandle(None, is_permanent, level, hook, is_optional)
        handle.hook = _Removable(lambda: self._handles(dir), handle)
        handles.insert(0 if prepend else len(handles), handle)

    def add_perma_hook(self, hook: HookFunction | Op, dir: Literal["fwd", "bwd"] = "fwd") -> None:
        """Adds a hook that stays through reset_hooks()."""
        self.add_hook(hook, dir, is_permanent=True)

    def has_hooks(self, dir: Direction = "both", including_permanent: bool = True, level: int | None = None) -> bool:
        """Whether there are hooks of a direction, and of a context level where one is given."""
        return any((including_permanent or not h.is_permanent) and (level is None or h.context_level == level)
                   for direction in _directions(dir) for h in self._handles(direction))

    def remove_hooks(self, dir: Direction = "fwd", including_permanent: bool = False, level: int | None = None) -> None:
        """Removes hooks: all but permanent ones, or only those of a context level."""
        for direction in _directions(dir):
            if not self._handles(direction):
                continue
            kept = [h for h in self._handles(direction)
                    if not including_permanent and (h.is_permanent or level is not None and h.context_level != level)]
            setattr(self, f"{direction}_hooks", kept)

    def clear_context(self) -> None:
        """Empties ctx."""
        self.ctx = {}

    def layer(self) -> int:
        """The layer in the name: 3 for "blocks.3.attn.hook_q"."""
        parts = (self.name or "").split(".")
        if len(parts) < 2 or not parts[1].isdigit():
            raise InvalidArgumentError("NO_LAYER", f"The hook point {self.name!r} belongs to no layer.")
        return int(parts[1])

    def forward(self, x: Any) -> Any:
        """The activation after the hooks here."""
        if self._passes:
            return x
        for handle in self.fwd_hooks:
            if isinstance(handle.user_hook, Op):
                raise InvalidArgumentError("OP_OUTSIDE_ENGINE", f"{handle.user_hook} at '{self.name}' runs in the engine, not on an array.")
            returned = handle.user_hook(x, hook=self)
            x = x if returned is None else returned
        return x

    def __repr__(self) -> str:
        counts = [f"{len(handles)} {name}" for name, handles in (("fwd", self.fwd_hooks), ("bwd", self.bwd_hooks)) if handles]
        return f"HookPoint({', '.join([f'name={self.name!r}', *counts] if self.name else counts)})"

    def _handles(self, dir: str) -> list[LensHandle]:
        if dir not in ("fwd", "bwd"):
            raise InvalidArgumentError("INVALID_DIRECTION", f"dir is {dir!r}; it may be 'fwd' or 'bwd'.")
        return self.fwd_hooks if dir == "fwd" else self.bwd_hooks


def check_hook(hook: Any, name: str | None) -> None:
    """Refuses what could not be called as fn(activation, hook=...)."""
    if isinstance(hook, Op):
        return
    code = getattr(hook, "__code__", None)
    if code is not None and code.co_argcount == 2 and code.co_varnames[1] == "hook":
        return
    if not callable(hook):
        raise InvalidArgumentError("NOT_A_HOOK",
                                   f"The hook for '{name}' is a {type(hook).__name__}; a function fn(activation, hook) or an op "
                                   "of interopinterp.ops is expected.")
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):  # built in
        return
    try:
        signature.bind(None, hook=None)
    except TypeError as error:
        inner = hook.func if isinstance(hook, functools.partial) else hook
        raise InvalidArgumentError(
            "HOOK_SIGNATURE", f"The hook {getattr(inner, '__name__', inner)!s}{signature} for '{name}' cannot be called as "
            f"fn(activation, hook=HookPoint): {error}. Write def fn(activation, hook): ...") from None


def _directions(dir: str) -> tuple[str, ...]:
    if dir not in ("fwd", "bwd", "both"):
        raise InvalidArgumentError("INVALID_DIRECTION", f"dir is {dir!r}; it may be 'fwd', 'bwd' or 'both'.")
    return ("fwd", "bwd") if dir == "both" else (dir,)
