"""The residual stream as a sum, and what its parts say of the logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp.errors import InvalidArgumentError, OutOfRangeError
from interopinterp.utilities.slice import Slice

_NORMS = ("LN", "LNPre", "RMS", "RMSPre")


class Residual:
    """accumulated_resid, decompose_resid, apply_ln_to_stack, logit_attrs."""

    def accumulated_resid(
        self, layer: int | None = None, incl_mid: bool = False, apply_ln: bool = False, pos_slice: Any = None, mlp_input: bool = False,
        return_labels: bool = False,
    ) -> Any:
        """The residual stream as it grows, up to a layer's input: [streams, batch, pos, d_model].

        layer      None, -1 or n_layers: to the end ("final_post")
        incl_mid   also before each MLP; mlp_input  up to that layer's MLP
        apply_ln   behind the norm that reads it; at the end each by its own statistics (the logit lens)
        """
        layer, pos = self.up_to(layer), as_slice(pos_slice)
        parts, labels = [], []
        for index in range(layer + 1):
            if index == self.model.cfg.n_layers:
                parts.append(self["resid_post", index - 1])
                labels.append("final_post")
                continue
            parts.append(self["resid_pre", index])
            labels.append(f"{index}_pre")
            if incl_mid and index < layer or mlp_input and index == layer:
                parts.append(self["resid_mid", index])
                labels.append(f"{index}_mid")
        stacked = arrays.stack([pos.apply(part, -2) for part in parts])
        if apply_ln:
            stacked = self.apply_ln_to_stack(stacked, layer, mlp_input, pos, has_batch_dim=self.has_batch_dim,
                                             recompute_ln=layer == self.model.cfg.n_layers)
        return (stacked, labels) if return_labels else stacked

    def decompose_resid(
        self, layer: int | None = None, mlp_input: bool = False, mode: str = "all", apply_ln: bool = False, pos_slice: Any = None,
        incl_embeds: bool = True, return_labels: bool = False,
    ) -> Any:
        """What each layer adds to the stream that a layer reads: [components, batch, pos, d_model]; they sum to it.

        mode  "all", "attn" or "mlp"; labels are embed, pos_embed, 0_attn_out, 0_mlp_out, ...
        """
        if mode not in ("all", "attn", "mlp"):
            raise InvalidArgumentError("INVALID_MODE", f"mode is {mode!r}; it may be 'all', 'attn' or 'mlp'.")
        layer, pos = self.up_to(layer), as_slice(pos_slice)
        incl_attn, incl_mlp = mode != "mlp", mode != "attn" and not self.model.cfg.attn_only
        names: list[tuple[str, Any]] = []
        if incl_embeds:
            names += [("embed", "hook_embed")] if self.has_embed else []
            names += [("pos_embed", "hook_pos_embed")] if self.has_pos_embed else []
        for index in range(layer):
            names += [(f"{index}_attn_out", ("attn_out", index))] if incl_attn else []
            names += [(f"{index}_mlp_out", ("mlp_out", index))] if incl_mlp else []
        if mlp_input and incl_attn:
            names.append((f"{layer}_attn_out", ("attn_out", layer)))
        if not names:
            raise InvalidArgumentError("NOTHING_TO_STACK", f"No component of mode {mode!r} stands before layer {layer}.")
        stacked = arrays.stack([pos.apply(self[key], -2) for _, key in names])
        if apply_ln:
            stacked = self.apply_ln_to_stack(stacked, layer, mlp_input, pos, has_batch_dim=self.has_batch_dim)
        return (stacked, [label for label, _ in names]) if return_labels else stacked

    def apply_ln_to_stack(
        self, residual_stack: Any, layer: int | None = None, mlp_input: bool = False, pos_slice: Any = None, batch_slice: Any = None,
        has_batch_dim: bool = True, recompute_ln: bool = False,
    ) -> Any:
        """Components [components, batch, pos, d_model] as the norm of a layer scales them in this run: centred (LN) and divided by the
        cached scale. Weights of the norm are taken to be folded.

        pos_slice     what was applied to the stack; batch_slice  is applied here
        recompute_ln  at the end: each by its own statistics
        """
        if self.model.cfg.normalization_type not in _NORMS:
            return residual_stack
        layer, pos, batch = self.up_to(layer), as_slice(pos_slice), as_slice(batch_slice)
        if has_batch_dim:
            residual_stack = batch.apply(residual_stack, 1)
        if recompute_ln and layer == self.model.cfg.n_layers:
            return self.model.ln_final(residual_stack)
        scale = self.norm_scale(layer, mlp_input, pos, batch)
        if pos.mode != "int" and residual_stack.shape[-2] != scale.shape[-2]:
            raise InvalidArgumentError("STACK_NOT_SLICED",
                                       f"The stack has {residual_stack.shape[-2]} positions and the scales, with pos_slice, "
                                       f"{scale.shape[-2]}: slice the stack too, as in decompose_resid(pos_slice=...).")
        if pos.mode == "int" and residual_stack.ndim - 1 != scale.ndim:
            raise InvalidArgumentError("STACK_NOT_SLICED", f"The stack {list(residual_stack.shape)} still has its position axis; pos_slice="
                                       f"{pos.slice} takes one position: slice the stack too, as in "
                                       f"decompose_resid(pos_slice={pos.slice}).")
        if self.model.cfg.normalization_type in ("LN", "LNPre"):
            residual_stack = residual_stack - mean(residual_stack)
        return residual_stack / scale

    def logit_attrs(
        self, residual_stack: Any, tokens: Any, incorrect_tokens: Any = None, pos_slice: Any = None, batch_slice: Any = None,
        has_batch_dim: bool = True,
    ) -> Any:
        """What each component adds to the logit of tokens, or to its difference to that of incorrect_tokens: [components, batch, pos].

        tokens  a text of one token, an id, or ids [batch] or [batch, pos]
        """
        directions = self.model.tokens_to_residual_directions(tokens)
        if incorrect_tokens is not None:
            wrong = self.model.tokens_to_residual_directions(incorrect_tokens)
            if tuple(directions.shape) != tuple(wrong.shape):
                raise InvalidArgumentError("TOKENS_SHAPE",
                                           f"tokens give directions {list(directions.shape)} and incorrect_tokens {list(wrong.shape)}: as "
                                           "many of both are expected.")
            directions = directions - wrong
        scaled = self.apply_ln_to_stack(residual_stack, -1, pos_slice=pos_slice, batch_slice=batch_slice, has_batch_dim=has_batch_dim)
        return (scaled * directions).sum(-1)

    def norm_scale(self, layer: int, mlp_input: bool, pos: Slice, batch: Slice | None = None) -> Any:
        """The cached scale [batch, pos, 1] of the norm that reads the stream at a layer."""
        scale = self["ln_final.hook_scale" if layer == self.model.cfg.n_layers else f"blocks.{layer}.ln{2 if mlp_input else 1}.hook_scale"]
        scale = pos.apply(scale, -2)
        return batch.apply(scale, 0) if batch is not None and self.has_batch_dim else scale

    def up_to(self, layer: int | None) -> int:
        """A layer that parts are taken up to; None and -1 are the end. Raises LAYER_OUT_OF_RANGE."""
        count = self.model.cfg.n_layers
        if layer is None or layer == -1:
            return count
        if not 0 <= layer <= count:
            raise OutOfRangeError("LAYER_OUT_OF_RANGE",
                                  f"layer is {layer}; the model has {count} layers: 0 to {count}, {count} being the end.")
        return layer


def as_slice(part: Any) -> Slice:
    """A Slice; an int takes its axis away."""
    return part if isinstance(part, Slice) else Slice(part)


def mean(x: Any) -> Any:
    """The mean over the last axis, which stays."""
    return x.mean(-1, keepdim=True) if arrays.is_torch(x) else np.asarray(x).mean(-1, keepdims=True)
