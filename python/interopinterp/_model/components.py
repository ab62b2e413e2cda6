"""The tree of a model's parts: model.blocks[3].attn.hook_q, model.blocks[3].attn.W_Q, model.ln_final(x), model.unembed(x)."""

from __future__ import annotations

import weakref
from typing import Any, Iterable, Iterator

from interopinterp._module import Twofold
from interopinterp.errors import UnimplementedError
from interopinterp.hook_points import HookPoint

_STACKED_AS = {"W_K": "_W_K", "W_V": "_W_V", "b_K": "_b_K", "b_V": "_b_V"}


class Component(Twofold):
    """A part of a model: hook points, smaller parts, and weights by their TransformerLens names, fetched when they are named."""

    def __init__(self, model: Any, name: str):
        super().__init__()
        # A plain reference would make the model a part of its own part.
        object.__setattr__(self, "_model", weakref.ref(model))
        self.name = name

    @property
    def cfg(self) -> Any:
        """The model's config."""
        return self._model().cfg

    def __getattr__(self, name: str) -> Any:
        model = self.__dict__["_model"]() if "_model" in self.__dict__ else None
        if model is not None and not name.startswith("__"):
            full = f"{self.__dict__['name']}.{name}"
            if full in model.weight_shapes:
                return model.weight(full)
            grouped = f"{self.__dict__['name']}.{_STACKED_AS.get(name, name)}"
            if grouped in model.weight_shapes:
                return model.ungrouped(grouped)
            if name in ("QK", "OV") and f"{self.__dict__['name']}.W_Q" in model.weight_shapes:
                return model.factored(name, self)
        return super().__getattr__(name)

    def forward(self, x: Any, *more: Any, **options: Any) -> Any:
        """Of ln_final, unembed and embed: what the part computes, by the engine. Of other parts: refused."""
        model = self._model()
        compute = {"ln_final": model.apply_ln_final, "unembed": model.apply_unembed, "embed": model.apply_embed}.get(self.name)
        if compute is None or more or options:
            raise UnimplementedError(
                "PART_NOT_CALLABLE",
                f"'{self.name}' cannot be called by itself. model(residual, start_at_layer=l, stop_at_layer=l + 1) runs a "
                "block; run_with_cache shows what is inside it.")
        return compute(x)


class Blocks(Component):
    """The blocks of a model by index."""

    def __getitem__(self, index: Any) -> Any:
        blocks = list(self.children())
        return blocks[index]

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Component]:
        return iter(self.children())


def build(model: Any, hook_names: Iterable[str], weight_names: Iterable[str]) -> None:
    """Hangs hook points and parts into a model, and fills in its hook_dict and mod_dict."""
    parts: dict[str, Any] = {"": model}
    for name in hook_names:
        parent, _, last = name.rpartition(".")
        point = HookPoint()
        point.name = name
        _part(parts, parent).add_module(last, point)
        parts[name] = model.hook_dict[name] = point
    for name in weight_names:
        _part(parts, name.rpartition(".")[0])
    _part(parts, "blocks")
    model.mod_dict = {name: part for name, part in parts.items() if name}


def _part(parts: dict[str, Any], name: str) -> Any:
    if name not in parts:
        parent, _, last = name.rpartition(".")
        parts[name] = (Blocks if name == "blocks" else Component)(parts[""], name)
        _part(parts, parent).add_module(last, parts[name])
    return parts[name]
