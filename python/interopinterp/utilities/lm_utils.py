"""Loss and accuracy of next-token predictions. Source: TransformerLens 3.9, utilities.lm_utils."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp.errors import InvalidArgumentError


def lm_cross_entropy_loss(logits: Any, tokens: Any, attention_mask: Any = None, per_token: bool = False) -> Any:
    """Cross-entropy of each next token, in nats.

    logits [batch, pos, d_vocab], tokens [batch, pos]; attention_mask [batch, pos], 0 at padding: a token counts where it and its
    successor are there. Returns the mean over tokens, or [batch, pos - 1] with 0 where nothing counts. Differentiable for torch tensors.
    """
    if tuple(logits.shape[:-1]) != tuple(tokens.shape):
        raise InvalidArgumentError("WRONG_SHAPE", f"logits are {list(logits.shape)} and tokens {list(tokens.shape)}: [batch, pos, d_vocab] "
                                   "and [batch, pos] are expected.")
    if tokens.shape[-1] < 2:
        raise InvalidArgumentError("LOSS_NEEDS_TWO_TOKENS", "The sequence has one token: there is no next one to predict.")
    if attention_mask is not None and tuple(attention_mask.shape) != tuple(tokens.shape):
        raise InvalidArgumentError("MASK_SHAPE", f"attention_mask is {list(attention_mask.shape)}; tokens are {list(tokens.shape)}.")
    if arrays.is_torch(logits):
        torch = sys.modules["torch"]
        tokens = torch.as_tensor(arrays.to_numpy(tokens), device=logits.device).long()
        losses = -logits[..., :-1, :].log_softmax(-1).gather(-1, tokens[..., 1:, None])[..., 0]
        counted = None if attention_mask is None else torch.as_tensor(arrays.to_numpy(attention_mask), device=logits.device).bool()
        zeros = torch.zeros_like(losses)
        where = torch.where
    else:
        logits, tokens = arrays.to_numpy(logits)[..., :-1, :], arrays.to_numpy(tokens)
        top = logits.max(-1, keepdims=True)
        norms = np.log(np.exp(logits - top).sum(-1)) + top[..., 0]
        losses = norms - np.take_along_axis(logits, tokens[..., 1:, None], -1)[..., 0]
        counted = None if attention_mask is None else arrays.to_numpy(attention_mask).astype(bool)
        zeros = np.zeros_like(losses)
        where = np.where
    if counted is not None:
        counted = counted[..., :-1] & counted[..., 1:]
        losses = where(counted, losses, zeros)
    if per_token:
        return losses
    return losses.mean() if counted is None else losses.sum() / counted.sum()


def lm_accuracy(logits: Any, tokens: Any, per_token: bool = False) -> Any:
    """How often the likeliest next token is the one that comes: a fraction, or [batch, pos - 1] booleans."""
    predicted = logits.argmax(-1)[..., :-1]
    matches = predicted == (tokens if arrays.is_torch(logits) else arrays.to_numpy(tokens))[..., 1:]
    return matches if per_token else matches.sum() / np.prod(matches.shape)
