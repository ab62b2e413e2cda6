"""Hooks on every part of a model by name. Source of the calls and their meaning: TransformerLens 3.9, HookedRootModule."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import warnings
from typing import Any, Callable, Iterator, Literal

from interopinterp import _arrays as arrays
from interopinterp._module import Twofold
from interopinterp.errors import InterpWarning, InvalidArgumentError, unknown
from interopinterp.hook_points import Direction, HookFunction, HookPoint, LensHandle, NamesFilter
from interopinterp.ops import Op
from interopinterp.utilities.slice import Slice

Hooks = list[tuple[Any, Any]]
# Axis of the positions, from the end, of points whose last axes are heads and their entries.
_PER_HEAD = ("hook_q", "hook_k", "hook_v", "hook_z", "hook_result", "hook_rot_q", "hook_rot_k", "hook_q_input", "hook_k_input",
             "hook_v_input",
             "hook_attn_in")


class HookedRootModule(Twofold):
    """The root of a tree of hook points.

    hook_dict  hook points by full name
    mod_dict   all parts by full name
    """

    def __init__(self):
        super().__init__()
        self.is_caching = False
        self.context_level = 0
        self.hook_dict: dict[str, HookPoint] = {}
        self.mod_dict: dict[str, Any] = {}

    def setup(self) -> None:
        """Gives every part its name, and fills in hook_dict and mod_dict; for trees that are put together by hand."""
        self.mod_dict, self.hook_dict = {}, {}
        for name, module in self.named_modules():
            if name:
                module.name = name
                self.mod_dict[name] = module
                if isinstance(module, HookPoint):
                    self.hook_dict[name] = module

    def hook_points(self):
        """All hook points."""
        return self.hook_dict.values()

    def clear_contexts(self) -> None:
        """Empties the ctx of every hook point."""
        for point in self.hook_points():
            point.clear_context()

    def remove_all_hook_fns(self, direction: Direction = "both", including_permanent: bool = False, level: int | None = None) -> None:
        """Removes hooks everywhere: all but permanent ones, or those of a context level."""
        for point in self.hook_points():
            point.remove_hooks(direction, including_permanent=including_permanent, level=level)

    def reset_hooks(
        self, clear_contexts: bool = True, direction: Direction = "both", including_permanent: bool = False, level: int | None = None
    ) -> None:
        """Removes hooks everywhere, and what they kept in ctx."""
        if clear_contexts:
            self.clear_contexts()
        self.remove_all_hook_fns(direction, including_permanent, level=level)
        self.is_caching = False

    def list_hooks(self, name_filter: NamesFilter = None, dir: Direction = "both",
                   including_permanent: bool = True) -> dict[str, list[LensHandle]]:
        """Hooks by the name of their point, where there are any."""
        chosen = dict(self.points(name_filter, "hook point")) if name_filter is not None else self.hook_dict
        found = {name: [h for handles in ((p.fwd_hooks, p.bwd_hooks) if dir == "both" else (getattr(p, f"{dir}_hooks"),)) for h in handles
                        if including_permanent or not h.is_permanent] for name, p in chosen.items()}
        return {name: handles for name, handles in found.items() if handles}

    def resolve(self, name: str) -> str:
        """The name of a hook point under hook_dict; raises UNKNOWN_HOOK_POINT with the nearest names."""
        if name not in self.hook_dict:
            raise unknown("UNKNOWN_HOOK_POINT", "hook point", name, self.hook_dict, "model.hook_dict has them all.")
        return name

    def points(self, name: NamesFilter, what: str) -> list[tuple[str, HookPoint]]:
        """The hook points that a name, a list of names, or a predicate over names means. Nothing is an error, with the nearest names."""
        if isinstance(name, str) and "*" in name:
            pattern, name = name, functools.partial(fnmatch.fnmatchcase, pat=name)
            name.__name__ = pattern
        if isinstance(name, str):
            name = self.resolve(name)
            return [(name, self.hook_dict[name])]
        if callable(name):
            found = [(known, point) for known, point in self.fireable().items() if name(known)]
            if not found:
                gated = [known for known in self.hook_dict if name(known)]
                if gated:
                    self.check_hooks_to_add(self.hook_dict[gated[0]], gated[0], None)
                raise unknown("FILTER_MATCHES_NOTHING", f"{what} filter", getattr(name, "__name__", repr(name)), (),
                              f"It is true of none of the {len(self.hook_dict)} names in model.hook_dict.")
            return found
        if isinstance(name, (list, tuple, set, frozenset)):
            return [pair for item in name for pair in self.points(item, what)]
        raise InvalidArgumentError("INVALID_FILTER",
                                   f"A {what} is named by a string, a list of strings or a function of names; got {type(name).__name__}.")

    def fireable(self) -> dict[str, HookPoint]:
        """The hook points that exist under the flags that are set."""
        return self.hook_dict

    def check_hooks_to_add(self, hook_point: HookPoint, hook_point_name: str, hook: Any, **_: Any) -> None:
        """Refuses hooks at points that are switched off."""

    def add_hook(
        self, name: str | Callable[[str], bool], hook: HookFunction | Op, dir: Literal["fwd", "bwd"] = "fwd", is_permanent: bool = False,
        level: int | None = None, prepend: bool = False,
    ) -> None:
        """Adds a hook at a point, or at every point that a pattern with "*" or a function of names is true of; see HookPoint.add_hook."""
        for known, point in self.points(name, "hook point"):
            self.check_hooks_to_add(point, known, hook)
            point.add_hook(hook, dir, is_permanent, level, prepend, is_optional=not isinstance(name, str) or "*" in name)

    def add_perma_hook(self, name: str | Callable[[str], bool], hook: HookFunction | Op, dir: Literal["fwd", "bwd"] = "fwd") -> None:
        """Adds a hook that stays through reset_hooks()."""
        self.add_hook(name, hook, dir=dir, is_permanent=True)

    @contextlib.contextmanager
    def hooks(
        self, fwd_hooks: Hooks = (), bwd_hooks: Hooks = (), reset_hooks_end: bool = True, clear_contexts: bool = False
    ) -> Iterator["HookedRootModule"]:
        """Adds hooks, as (name or function of names, hook) pairs, for a block. On leaving, also by an exception, only its own go."""
        self.context_level += 1
        try:
            for direction, pairs in (("fwd", fwd_hooks), ("bwd", bwd_hooks)):
                for name, hook in pairs:
                    self.add_hook(name, hook, dir=direction, level=self.context_level)
            yield self
        finally:
            if reset_hooks_end:
                self.reset_hooks(clear_contexts, including_permanent=False, level=self.context_level)
            self.context_level -= 1

    def run_with_hooks(
        self, *model_args: Any, fwd_hooks: Hooks = (), bwd_hooks: Hooks = (), reset_hooks_end: bool = True, clear_contexts: bool = False,
        **model_kwargs: Any,
    ) -> Any:
        """One forward pass with hooks, which are gone afterwards unless reset_hooks_end=False."""
        if bwd_hooks and reset_hooks_end:
            warnings.warn("The backward hooks are removed when run_with_hooks returns, before any backward pass. Pass "
                          "reset_hooks_end=False, "
                          "or call backward inside `with model.hooks(bwd_hooks=...)`.", InterpWarning, stacklevel=2)
        with self.hooks(fwd_hooks, bwd_hooks, reset_hooks_end, clear_contexts):
            return self.forward(*model_args, **model_kwargs)

    def get_caching_hooks(
        self, names_filter: NamesFilter = None, incl_bwd: bool = False, device: Any = None, remove_batch_dim: bool = False,
        cache: dict | None = None, pos_slice: Any = None,
    ) -> tuple[dict, Hooks, Hooks]:
        """(cache, fwd_hooks, bwd_hooks): hooks that fill a dict when they run, to be used together with others. In process only.

        run_with_cache, which needs no Python function, is faster and works everywhere.
        """
        cache = {} if cache is None else cache
        part = Slice.unwrap(pos_slice)

        def save(value: Any, hook: HookPoint, suffix: str) -> None:
            kept = value.detach().clone() if arrays.is_torch(value) else value.copy()
            if arrays.is_torch(value) and device is not None:
                kept = kept.to(device)
            kept = kept[0] if remove_batch_dim else kept
            axis = -3 if hook.name.endswith(_PER_HEAD) else -1 if hook.name == "hook_tokens" else -2
            cache[hook.name + suffix] = part.apply(kept, axis)

        names = [name for name, _ in self.points(names_filter if names_filter is not None else lambda name: True, "names_filter")]
        fwd = [(name, functools.partial(save, suffix="")) for name in names]
        bwd = [(name, functools.partial(save, suffix="_grad")) for name in names] if incl_bwd else []
        return cache, fwd, bwd

    def add_caching_hooks(
        self, names_filter: NamesFilter = None, incl_bwd: bool = False, device: Any = None, remove_batch_dim: bool = False,
        cache: dict | None = None,
    ) -> dict:
        """Adds hooks that fill the returned dict whenever the model runs. In process only."""
        cache, fwd, bwd = self.get_caching_hooks(names_filter, incl_bwd, device, remove_batch_dim, cache)
        for direction, pairs in (("fwd", fwd), ("bwd", bwd)):
            for name, hook in pairs:
                self.hook_dict[name].add_hook(hook, direction, is_optional=True)
        self.is_caching = True
        return cache
