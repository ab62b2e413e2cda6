"""The residual stream by heads, and activations by layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp._cache.residual import as_slice


class Heads:
    """compute_head_results, stack_head_results, stack_activation."""

    def compute_head_results(self) -> None:
        """Fills in attn.hook_result [batch, pos, head, d_model] of every layer, from z and W_O."""
        for layer in range(self.model.cfg.n_layers):
            self.head_results(layer)

    def head_results(self, layer: int) -> Any:
        """What each head of a layer adds to the stream [batch, pos, head, d_model]; kept in the cache."""
        name = f"blocks.{layer}.attn.hook_result"
        if name not in self.cache_dict:
            z, weight = whole(self["z", layer]), self.model.blocks[layer].attn.W_O
            self.cache_dict[name] = (z[..., None, :] @ weight)[..., 0, :]
        return self.cache_dict[name]

    def stack_head_results(
        self, layer: int = -1, return_labels: bool = False, incl_remainder: bool = False, pos_slice: Any = None, apply_ln: bool = False
    ) -> Any:
        """What every head before a layer adds: [layer * head, batch, pos, d_model], labels L0H0, ...

        incl_remainder  a last entry with everything else that stands in the stream there
        """
        layer, pos = self.up_to(layer), as_slice(pos_slice)
        labels = self.model.all_head_labels()[:layer * self.model.cfg.n_heads]
        parts = [pos.apply(self.head_results(index), -3) for index in range(layer)]
        heads = [part[..., head, :] for part in parts for head in range(self.model.cfg.n_heads)]
        stream = pos.apply(whole(self["resid_post", layer - 1] if layer else self["resid_pre", 0]), -2)
        if incl_remainder:
            labels = labels + ["remainder"]
            heads.append(stream - sum(heads) if heads else stream)
        stacked = arrays.stack(heads) if heads else stream[None][:0]
        if apply_ln:
            stacked = self.apply_ln_to_stack(stacked, layer, pos_slice=pos, has_batch_dim=self.has_batch_dim)
        return (stacked, labels) if return_labels else stacked

    def stack_activation(self, activation_name: str, layer: int = -1, sublayer_type: str | None = None) -> Any:
        """An activation of every layer before one: [layer, ...]."""
        return arrays.stack([whole(self[activation_name, index, sublayer_type]) for index in range(self.up_to(layer))])


def whole(value: Any) -> Any:
    """An activation here, wherever it was."""
    return getattr(value, "value", value) if not isinstance(value, np.ndarray) and not arrays.is_torch(value) else value
