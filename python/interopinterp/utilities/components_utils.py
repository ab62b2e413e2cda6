"""Shorthand for hook point names."""

from __future__ import annotations

import re

_LAYER_TYPES = {"a": "attn", "m": "mlp", "b": "", "block": "", "blocks": "", "attention": "attn"}
_SYNONYMS = {
    "attn": "pattern", "attn_logits": "attn_scores", "key": "k", "query": "q", "value": "v", "mlp_pre": "pre", "mlp_mid": "mid",
    "mlp_post": "post"}
_ATTENTION = {"k", "v", "q", "z", "rot_k", "rot_q", "result", "pattern", "attn_scores"}
_MLP = {"pre", "post", "mid", "pre_linear"}


def get_act_name(name: str, layer: int | str | None = None, layer_type: str | None = None) -> str:
    """The full name of a hook point: ("q", 3), "k6a", "pre5", ("scale", 1, "ln1"), "embed". A full name is returned as it is.

    Source: TransformerLens 3.9, utilities.get_act_name, whose every result this gives.
    """
    if ("." in name or name.startswith("hook_")) and layer is None and layer_type is None:
        return name
    match = re.match(r"([a-z]+)(\d+)([a-z]?.*)", name)
    if match:
        name, layer, layer_type = match.group(1), match.group(2), match.group(3) or layer_type
    layer_type = _LAYER_TYPES.get(layer_type, layer_type)
    name = _SYNONYMS.get(name, name)
    if name in _ATTENTION:
        layer_type = "attn"
    elif name in _MLP:
        layer_type = "mlp"
    prefix = f"blocks.{layer}." if layer is not None else ""
    prefix += f"{layer_type}." if layer_type else ""
    # ln_final is the only norm outside the blocks.
    if name in ("scale", "normalized") and layer is None:
        prefix = "ln_final."
    return f"{prefix}hook_{name}"
