"""The activations of a run."""

from __future__ import annotations

import html
import os
from typing import Any, Iterator

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _safetensors as safetensors
from interopinterp._cache import Heads, Neurons, Residual
from interopinterp.errors import InvalidArgumentError, OutOfRangeError, unknown
from interopinterp.utilities.components_utils import get_act_name
from interopinterp.utilities.slice import Slice


class ActivationCache(Residual, Heads, Neurons):
    """Activations by hook point: cache["blocks.0.attn.hook_q"], cache["q", 0], cache["resid_post", -1], cache["scale", 1, "ln1"].

    In process values are arrays over the engine's memory; over gRPC they stay on the server, and indexing moves only what it selects.
    cache_dict     the dict itself
    has_batch_dim  False after remove_batch_dim()
    """

    def __init__(self, cache_dict: dict[str, Any], model: Any, has_batch_dim: bool = True):
        self.cache_dict = cache_dict
        self.model = model
        self.has_batch_dim = has_batch_dim
        self.has_embed = "hook_embed" in cache_dict
        self.has_pos_embed = "hook_pos_embed" in cache_dict

    def name(self, key: Any) -> str:
        """The full name of a key: itself, or what get_act_name makes of a tuple or a shorthand."""
        if isinstance(key, str):
            if key in self.cache_dict:
                return key
            parts: tuple = (key,)
        elif isinstance(key, tuple) and 1 < len(key) <= 3 and isinstance(key[0], str):
            parts = key
            count = self.model.cfg.n_layers
            if isinstance(key[1], (int, np.integer)):
                if not -count <= key[1] < count:
                    raise OutOfRangeError("LAYER_OUT_OF_RANGE",
                                          f"cache{list(key)}: the model has {count} layers (0 to {count - 1}, or -{count} to -1).")
                parts = (key[0], int(key[1]) % count, *key[2:])
        else:
            raise InvalidArgumentError("INVALID_KEY",
                                       f"{key!r} is no key of a cache: a name, (name, layer) or (name, layer, type) is expected.")
        return get_act_name(*parts)

    def __getitem__(self, key: Any) -> Any:
        name = self.name(key)
        if name not in self.cache_dict and name in self.model.aliases:
            name = self.model.aliases[name]
        if name in self.cache_dict:
            return self.cache_dict[name]
        if name in self.model.hook_dict:
            note = ("It is a hook point of the model, but was not kept: names_filter left it out, its flag was off, or the run stopped "
                    "before it.")
            raise unknown("NOT_IN_CACHE", "entry of this cache", name, self.cache_dict, note)
        raise unknown("UNKNOWN_HOOK_POINT", "hook point", name, list(self.cache_dict) + list(self.model.hook_dict))

    def __contains__(self, key: Any) -> bool:
        try:
            name = self.name(key)
        except (InvalidArgumentError, OutOfRangeError):
            return False
        return name in self.cache_dict or self.model.aliases.get(name) in self.cache_dict

    def __len__(self) -> int:
        return len(self.cache_dict)

    def __iter__(self) -> Iterator[str]:
        return iter(self.cache_dict)

    def keys(self):
        """Full names, in firing order."""
        return self.cache_dict.keys()

    def values(self):
        """Activations, in firing order."""
        return self.cache_dict.values()

    def items(self):
        """(name, activation) pairs, in firing order."""
        return self.cache_dict.items()

    def to(self, device: Any, move_model: bool = False) -> "ActivationCache":
        """Moves torch tensors to a device."""
        self.cache_dict = {name: value.to(device) if arrays.is_torch(value) else value for name, value in self.items()}
        if move_model:
            self.model.to(device)
        return self

    def toggle_autodiff(self, mode: bool = False) -> None:
        """Switches torch's recording of gradients on or off, for the whole process, as TransformerLens does."""
        torch = arrays.torch()
        if torch is not None:
            torch.set_grad_enabled(mode)

    def remove_batch_dim(self) -> "ActivationCache":
        """Takes the first axis away, where there is one row."""
        if self.has_batch_dim:
            for name, value in self.items():
                if value.shape[0] != 1:
                    raise InvalidArgumentError("BATCH_OF_SEVERAL", f"remove_batch_dim is for a single row; '{name}' has {value.shape[0]}.")
            self.cache_dict = {name: value[0] for name, value in self.items()}
            self.has_batch_dim = False
        return self

    def apply_slice_to_batch_dim(self, batch_slice: Any) -> "ActivationCache":
        """A cache of some rows: an int (the axis goes), a tuple, a slice, a list."""
        part = batch_slice if isinstance(batch_slice, Slice) else Slice(batch_slice)
        if not self.has_batch_dim:
            raise InvalidArgumentError("NO_BATCH_AXIS", "The cache has no batch axis: it was removed.")
        return ActivationCache({name: part.apply(value, 0) for name, value in self.items()}, self.model, part.mode != "int")

    def save(self, path: str | os.PathLike) -> None:
        """Writes the cache as a safetensors file; ActivationCache.load reads it back."""
        safetensors.save(path, {name: arrays.to_numpy(value) for name, value in self.items()}, {"has_batch_dim": str(self.has_batch_dim)})

    @classmethod
    def load(cls, path: str | os.PathLike, model: Any) -> "ActivationCache":
        """A cache that save wrote."""
        tensors, metadata = safetensors.load(path)
        return cls({name: arrays.from_numpy(value) for name, value in tensors.items()}, model, metadata.get("has_batch_dim") != "False")

    def __repr__(self) -> str:
        return f"ActivationCache with keys {list(self.cache_dict)}"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{list(value.shape)}</td></tr>" for name, value in self.items())
        table = f"<table><tr><th>hook point</th><th>shape</th></tr>{rows}</table>"
        return f"<details><summary>ActivationCache of {len(self)} activations</summary>{table}</details>"
