"""Modules that are torch's where the user has imported torch, and need nothing where not."""

from __future__ import annotations

import sys
from typing import Any, Iterator


class PlainModule:
    """What a tree of hook points needs of torch.nn.Module, where there is no torch."""

    training = False

    def __init__(self):
        object.__setattr__(self, "_modules", {})

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, PlainModule):
            self._modules[name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        try:
            return object.__getattribute__(self, "_modules")[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}") from None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def add_module(self, name: str, module: "PlainModule") -> None:
        self._modules[name] = module

    def children(self) -> Iterator["PlainModule"]:
        return iter(self._modules.values())

    def named_modules(self, memo: Any = None, prefix: str = "") -> Iterator[tuple[str, "PlainModule"]]:
        yield prefix, self
        for name, module in self._modules.items():
            yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator["PlainModule"]:
        return (module for _, module in self.named_modules())

    def train(self, mode: bool = True) -> "PlainModule":
        return self

    def eval(self) -> "PlainModule":
        return self


class Twofold:
    """A base for classes whose instances are torch modules where torch is imported when they are made, and plain objects elsewhere.

    Its subclasses' __init__ calls super().__init__() before anything else.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(concrete(cls))


_concrete: dict[tuple[type, type], type] = {}


def concrete(cls: type) -> type:
    """The class that instances of a Twofold class have at this moment."""
    torch = sys.modules.get("torch")
    base = torch.nn.Module if hasattr(torch, "nn") and hasattr(torch.nn, "Module") else PlainModule
    if issubclass(cls, base):
        return cls
    if (cls, base) not in _concrete:
        body = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__, "_is_concrete": True}
        _concrete[cls, base] = type(cls.__name__, (cls, base), body)
    return _concrete[cls, base]
