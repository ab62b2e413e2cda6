"""Defaults that a block of code overrides."""

from __future__ import annotations

from typing import Any

from interopinterp.errors import InvalidArgumentError, unknown

USE_DEFAULT_VALUE = None
_VALUES = {"prepend_bos": (USE_DEFAULT_VALUE, True, False), "padding_side": (USE_DEFAULT_VALUE, "left", "right")}


def override_or_use_default_value(default_flag: Any, override: Any = None) -> Any:
    """The override, or the default where there is none."""
    return default_flag if override is None else override


class LocallyOverridenDefaults:
    """with LocallyOverridenDefaults(model, prepend_bos=False, padding_side="left"): ... -- both may be left out."""

    def __init__(self, model: Any, **overrides: Any):
        for name, value in overrides.items():
            if name not in _VALUES:
                raise unknown("UNKNOWN_DEFAULT", "default", name, _VALUES)
            if value not in _VALUES[name]:
                raise InvalidArgumentError("INVALID_DEFAULT", f"{name} is {value!r}; it may be {' or '.join(map(repr, _VALUES[name]))}.")
        self._model = model
        self._overrides = overrides
        self._before: dict[str, Any] = {}

    def __enter__(self) -> "LocallyOverridenDefaults":
        for name, value in self._overrides.items():
            place, attribute = self._place(name)
            if place is not None:
                self._before[name] = getattr(place, attribute)
                setattr(place, attribute, override_or_use_default_value(self._before[name], value))
        return self

    def __exit__(self, *_: Any) -> None:
        for name, value in self._before.items():
            setattr(*self._place(name), value)
        self._before = {}

    def _place(self, name: str) -> tuple[Any, str]:
        return (self._model.cfg, "default_prepend_bos") if name == "prepend_bos" else (self._model.tokenizer, "padding_side")
