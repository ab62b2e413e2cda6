"""Which heads attend as a pattern says. Source: TransformerLens 3.9, head_detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp.errors import InvalidArgumentError, unknown

HEAD_NAMES = ("previous_token_head", "duplicate_token_head", "induction_head")
_MEASURES = {"mul": pb.PATTERN_ERROR_MULTIPLIED, "abs": pb.PATTERN_ERROR_ABSOLUTE}


def detect_head(
    model: Any, seq: str | list[str], detection_pattern: Any, heads: Any = None, cache: Any = None, *, exclude_bos: bool = False,
    exclude_current_token: bool = False, error_measure: str = "mul",
) -> Any:
    """How much of each head's attention goes where a pattern has ones: [layer, head]; -1 for heads that are not asked for.

    seq                a text; of several the mean is taken
    detection_pattern  a name of HEAD_NAMES, or a lower triangular array [pos, pos]
    heads              (layer, head) pairs, or layer -> heads; None: all
    cache              of this text, without batch axis, to save the run
    exclude_bos, exclude_current_token  leave the first column, or the diagonal, out of account
    error_measure      "mul": the share of attention on the pattern; "abs": 1 - the mean absolute difference, times pos
    """
    if error_measure not in _MEASURES:
        raise unknown("UNKNOWN_MEASURE", "error_measure", error_measure, _MEASURES)
    if isinstance(seq, list):
        if cache is not None:
            raise InvalidArgumentError("CACHE_OF_ONE_TEXT", "A cache belongs to one text; give one text, or no cache.")
        options = dict(heads=heads, exclude_bos=exclude_bos, exclude_current_token=exclude_current_token, error_measure=error_measure)
        scores = [arrays.to_numpy(detect_head(model, text, detection_pattern, **options)) for text in seq]
        return arrays.from_numpy(np.mean(scores, 0))
    tokens = arrays.to_numpy(model.to_tokens(seq))
    if isinstance(heads, dict):
        heads = [(layer, head) for layer, group in heads.items() for head in group]
    if cache is not None:
        return _of_cache(model, tokens, detection_pattern, heads, cache, exclude_bos, exclude_current_token, error_measure)
    model.check_weights()
    with model.transport.loans() as loans:
        request = pb.DetectHeadsRequest(
            model=model._name, rows=[pb.Row(tokens=tokens[0].tolist())], exclude_bos=exclude_bos,
            exclude_current_token=exclude_current_token, error=_MEASURES[error_measure],
            heads=[pb.HeadName(layer=int(layer), head=int(head)) for layer, head in heads or ()])
        if isinstance(detection_pattern, str):
            request.kind = detection_pattern
        else:
            request.pattern.CopyFrom(loans.tensor(np.ascontiguousarray(arrays.to_numpy(detection_pattern), np.float32)))
        found = model.transport.take(model.transport.call(request).scores)
    return arrays.from_numpy(arrays.to_numpy(found).astype(np.float32))


def _of_cache(
    model: Any, tokens: np.ndarray, detection_pattern: Any, heads: Any, cache: Any, exclude_bos: bool, exclude_current_token: bool,
    error_measure: str,
) -> Any:
    length = tokens.shape[1]
    if length < 2:
        raise InvalidArgumentError("SEQUENCE_TOO_SHORT", f"The text has {length} token; heads attend among at least two.")
    if isinstance(detection_pattern, str):
        if detection_pattern not in HEAD_NAMES:
            raise unknown("UNKNOWN_HEAD_KIND", "kind of head", detection_pattern, HEAD_NAMES)
        wanted = globals()[f"get_{detection_pattern}_detection_pattern"](tokens)
    else:
        wanted = arrays.to_numpy(detection_pattern)
    if wanted.shape != (length, length) or (np.triu(wanted, 1) != 0).any():
        raise InvalidArgumentError("PATTERN_SHAPE",
                                   f"The pattern is {list(wanted.shape)}; a lower triangular [{length}, {length}], as the text has "
                                   "tokens, is expected.")
    counted = np.ones((length, length), bool)
    if exclude_bos:
        counted[:, 0] = False
    if exclude_current_token:
        np.fill_diagonal(counted, False)
    if heads is None:
        heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    scores = -np.ones((model.cfg.n_layers, model.cfg.n_heads), np.float32)
    for layer in sorted({layer for layer, _ in heads}):
        patterns = arrays.to_numpy(cache["pattern", layer]) * counted
        if error_measure == "mul":
            measured = (patterns * wanted).sum((-2, -1)) / patterns.sum((-2, -1))
        else:
            measured = 1 - np.round((np.abs(patterns - wanted * counted)).mean((-2, -1)) * length, 3)
        for head in (head for at, head in heads if at == layer):
            scores[layer, head] = measured[head]
    return arrays.from_numpy(scores)


def get_previous_token_head_detection_pattern(tokens: Any) -> np.ndarray:
    """Attention to the token before: [pos, pos] for tokens [1, pos]."""
    return np.eye(arrays.to_numpy(tokens).shape[-1], k=-1, dtype=np.float32)


def get_duplicate_token_head_detection_pattern(tokens: Any) -> np.ndarray:
    """Attention to earlier occurrences of the same token."""
    ids = arrays.to_numpy(tokens).reshape(-1)
    return np.tril(ids[:, None] == ids[None, :], -1).astype(np.float32)


def get_induction_head_detection_pattern(tokens: Any) -> np.ndarray:
    """Attention to the token after an earlier occurrence of the same token."""
    same = get_duplicate_token_head_detection_pattern(tokens)
    shifted = np.zeros_like(same)
    shifted[:, 1:] = same[:, :-1]
    return np.tril(shifted)


def get_supported_heads() -> None:
    """Prints the kinds of heads that have names."""
    print(f"Supported heads: {HEAD_NAMES}")
