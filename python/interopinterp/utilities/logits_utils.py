"""Drawing tokens from logits, and tables of them. Source: TransformerLens 3.9, utilities.logits_utils."""

from __future__ import annotations

from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp.errors import InvalidArgumentError


def sample_logits(
    final_logits: Any, top_k: int | None = None, top_p: float | None = None, temperature: float = 1.0, freq_penalty: float = 0.0,
    repetition_penalty: float = 1.0, tokens: Any = None, seed: int | None = None,
) -> Any:
    """Draws a token per row of logits [batch, d_vocab]; returns [batch].

    temperature         0: the likeliest
    top_k, top_p        keep the k likeliest (all ties of the last), or the likeliest up to this total probability; not both
    freq_penalty        subtracted, after the temperature, for each time a token stands in tokens [batch, pos]
    repetition_penalty  logits of tokens in the row are divided by it where positive, multiplied where negative
    seed                the same draw each time; None: numpy's global generator
    """
    logits = arrays.to_numpy(final_logits)
    if temperature == 0:
        chosen = _repetition(logits.astype(np.float64), tokens, repetition_penalty).argmax(-1)
    else:
        weights = sampling_probabilities(logits, top_k, top_p, temperature, freq_penalty, repetition_penalty, tokens)
        uniform = (np.random if seed is None else np.random.default_rng(seed)).random(len(weights))
        # The last token with any weight, should rounding leave the sum below the draw.
        last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(-1)
        chosen = np.minimum((weights.cumsum(-1) <= uniform[:, None]).sum(-1), last)
    return arrays.like(chosen, final_logits)


def sampling_probabilities(
    logits: Any, top_k: int | None = None, top_p: float | None = None, temperature: float = 1.0, freq_penalty: float = 0.0,
    repetition_penalty: float = 1.0, tokens: Any = None,
) -> np.ndarray:
    """The distribution that sample_logits draws from: [batch, d_vocab], float64."""
    if top_k is not None and top_p is not None:
        raise InvalidArgumentError("TOP_K_AND_TOP_P", "top_k and top_p exclude each other: give one of them.")
    if top_k is not None and top_k < 1:
        raise InvalidArgumentError("TOP_K", f"top_k is {top_k}; it must be above 0.")
    if top_p is not None and not 0 < top_p <= 1:
        raise InvalidArgumentError("TOP_P", f"top_p is {top_p}; it must be in (0, 1].")
    scores = _repetition(arrays.to_numpy(logits).astype(np.float64), tokens, repetition_penalty) / temperature
    if freq_penalty:
        if tokens is None:
            raise InvalidArgumentError("TOKENS_NEEDED", "freq_penalty counts tokens: give the tokens [batch, pos] so far.")
        for row, seen in zip(scores, arrays.to_numpy(tokens)):
            row -= freq_penalty * np.bincount(seen, minlength=scores.shape[-1])
    if top_k is not None:
        least = np.sort(scores, -1)[:, -min(top_k, scores.shape[-1])]
        scores[scores < least[:, None]] = -np.inf
    elif top_p is not None:
        order = np.argsort(-scores, -1, kind="stable")
        before = _softmax(np.take_along_axis(scores, order, -1)).cumsum(-1)
        dropped = np.concatenate([np.zeros_like(before[:, :1], bool), before[:, :-1] > top_p], -1)
        np.put_along_axis(scores, order, np.where(dropped, -np.inf, np.take_along_axis(scores, order, -1)), -1)
    return _softmax(scores)


def logits_to_df(logits: Any, tokenizer: Any = None, top_k: int | None = None) -> Any:
    """A pandas table of logits [d_vocab], likeliest first: token_index, token_string (with a tokenizer), logit, log_prob, probability."""
    import pandas

    scores = arrays.to_numpy(logits).astype(np.float64)
    if scores.ndim != 1:
        raise InvalidArgumentError("WRONG_RANK", f"logits are {list(scores.shape)}; [d_vocab] of one position is expected.")
    probabilities = _softmax(scores[None])[0]
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    columns: dict[str, Any] = {"token_index": order.tolist()}
    if tokenizer is not None:
        columns["token_string"] = [tokenizer.decode([int(i)]) for i in order]
    with np.errstate(divide="ignore"):
        columns |= {"logit": scores[order], "log_prob": np.log(probabilities[order]), "probability": probabilities[order]}
    return pandas.DataFrame(columns)


def _softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def _repetition(scores: np.ndarray, tokens: Any, penalty: float) -> np.ndarray:
    if penalty not in (0, 1) and tokens is not None:
        for row, seen in zip(scores, arrays.to_numpy(tokens)):
            seen = np.unique(seen)
            row[seen] = np.where(row[seen] > 0, row[seen] / penalty, row[seen] * penalty)
    return scores
