"""past_kv_cache of TransformerLens: calls that go on where earlier ones ended."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp._model import inputs
from interopinterp.errors import InvalidArgumentError, UnimplementedError
from interopinterp.utilities.lm_utils import lm_cross_entropy_loss
from interopinterp.utilities.slice import Slice


class TransformerLensKeyValueCache:
    """What a model has seen so far. It holds tokens, not keys and values: a call with it runs them again before the new ones and gives the
    part that is new, so every number is that of one full pass. generate() keeps keys and values inside the engine.

    frozen  calls leave it as it is
    """

    def __init__(self, batch_size: int = 1):
        self.tokens = np.empty((batch_size, 0), np.int64)
        self.mask = np.empty((batch_size, 0), np.int64)
        self.frozen = False

    @classmethod
    def init_cache(cls, cfg: Any, device: Any = None, batch_size: int = 1) -> "TransformerLensKeyValueCache":
        """An empty cache for a batch."""
        return cls(batch_size)

    def freeze(self) -> None:
        """From now on calls leave it as it is: for a prefix that many continuations share."""
        self.frozen = True

    def unfreeze(self) -> None:
        """From now on calls add to it again."""
        self.frozen = False

    def append_attention_mask(self, attention_mask: Any) -> Any:
        """The mask of everything seen and of what comes [batch, pos]."""
        whole = np.concatenate([self.mask, arrays.to_numpy(attention_mask)], 1)
        if not self.frozen:
            self.mask = whole
        return arrays.like(whole, attention_mask)

    def __len__(self) -> int:
        return self.tokens.shape[1]

    def run(self, model: Any, call: Any, names: list[str], pos: Any) -> tuple[Any, Any]:
        """A forward call that goes on from here."""
        if call.start_at_layer is not None or pos is not None and pos.mode != "identity":
            raise UnimplementedError("NOT_OFFERED", "past_kv_cache goes with neither start_at_layer nor pos_slice.")
        if any(point.fwd_hooks or point.bwd_hooks for point in model.hook_points()):
            raise UnimplementedError("HOOKS_WITH_PAST",
                                     "Hooks with past_kv_cache would see the earlier tokens again. Run the whole sequence, or use "
                                     "generate(), in which hooks see each step.")
        given = inputs.read(model, call.input, call.prepend_bos, call.padding_side, call.attention_mask)
        tokens, mask = given.padded(model.pad_token_id), given.mask()
        if len(tokens) != len(self.tokens):
            raise InvalidArgumentError("BATCH_SIZE", f"The cache is for {len(self.tokens)} rows; the tokens have {len(tokens)}.")
        past, new = len(self), tokens.shape[1]
        whole, whole_mask = np.concatenate([self.tokens, tokens], 1), np.concatenate([self.mask, mask], 1)
        wanted = call.return_type if call.stop_at_layer is None else None
        out, response = model._pass(
            dataclasses.replace(call, input=whole, attention_mask=whole_mask, past_kv_cache=None, padding_side="right",
                                return_type="logits" if wanted in ("loss", "both") else call.return_type),
            names, Slice((past, past + new)))
        if not self.frozen:
            self.tokens, self.mask = whole, whole_mask
        if out is not None:
            out = out[:, past:]
        if wanted in ("loss", "both"):
            loss = lm_cross_entropy_loss(out, tokens, None if mask.all() else mask, call.loss_per_token)
            out = loss if wanted == "loss" else model.output(out, loss)
        return out, response
