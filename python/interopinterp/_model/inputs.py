"""What a model is given, read as rows of tokens: texts, token ids, or a residual stream to go on from."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp.errors import FailedPreconditionError, InterpWarning, InvalidArgumentError, OutOfRangeError
from interopinterp.utilities.tokenize_utils import get_attention_mask

SIDES = {"right": pb.PADDING_SIDE_RIGHT, "left": pb.PADDING_SIDE_LEFT}
SIDE_NAMES = {value: name for name, value in SIDES.items()}


@dataclasses.dataclass
class Input:
    """What a run starts from.

    rows      token ids of each row; may differ in length
    masks     per row 1 where a token is there and 0 where padding is; None: no padding among the tokens
    side      on which side shorter rows are filled up
    residual  [batch, pos, d_model] instead of tokens
    texts     how it was given: None for ids, "one" or "many" for texts
    """

    rows: list[list[int]]
    masks: list[list[bool]] | None = None
    side: str = "right"
    residual: Any = None
    texts: str | None = None

    def write(self, plan: pb.Plan, loans: Any) -> None:
        """Writes it into a plan."""
        plan.padding_side = SIDES[self.side]
        for index, tokens in enumerate(self.rows):
            plan.rows.add(tokens=tokens, mask=self.masks[index] if self.masks else ())
        if self.residual is not None:
            plan.residual.CopyFrom(loans.tensor(self.residual))

    def padded(self, pad: int) -> np.ndarray:
        """[batch, pos] int64, shorter rows filled up."""
        return pad_rows(self.rows, pad, self.side)

    def mask(self) -> np.ndarray:
        """[batch, pos]: 1 where a token is there."""
        if self.masks:
            return np.array(self.masks, np.int64)
        return pad_rows([[1] * len(row) for row in self.rows], 0, self.side)


def pad_rows(rows: list[list[int]], pad: int | None, side: str) -> np.ndarray:
    """Rows as one array [rows, longest] int64."""
    width = max(map(len, rows))
    if pad is None and any(len(row) < width for row in rows):
        raise FailedPreconditionError("NO_PAD_TOKEN",
                                      "The rows differ in length, and the tokenizer has neither a padding nor an EOS token to "
                                      "fill them up. Use rows of equal length.")
    out = np.full((len(rows), width), pad or 0, np.int64)
    for place, row in zip(out, rows):
        place[slice(0, len(row)) if side == "right" else slice(width - len(row), width)] = row
    return out


def token_ids(tokens: Any, what: str = "tokens") -> np.ndarray:
    """Token ids [batch, pos] of an array or nested list. Refuses what is no integer, and other ranks."""
    array = arrays.to_numpy(tokens)
    if array.dtype.kind not in "iu":
        raise InvalidArgumentError(
            "TOKENS_NOT_INTEGERS", f"The {what} are {array.dtype} {list(array.shape)}; token ids are integers. A residual stream "
            "[batch, pos, d_model] needs start_at_layer." if array.ndim else f"The {what} are a {type(tokens).__name__}; a text, texts or "
            "token ids are expected.")
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2:
        raise InvalidArgumentError("TOKENS_SHAPE", f"The {what} are {list(array.shape)}; [batch, pos] or [pos] is expected.")
    if array.size and (array.max() > 2**31 - 1 or array.min() < -(2**31)):
        raise OutOfRangeError("TOKEN_OUT_OF_RANGE", f"The {what} hold ids from {array.min()} to {array.max()}; no vocabulary is as large.")
    return array


def read(
    model: Any, given: Any, prepend_bos: bool | None = None, padding_side: str | None = None, attention_mask: Any = None,
    start_at_layer: int | None = None, tokens: Any = None,
) -> Input:
    """Reads what forward was given."""
    side = padding_side or model.default_padding_side
    if side not in SIDES:
        raise InvalidArgumentError("INVALID_PADDING_SIDE", f"padding_side is {side!r}; it may be 'right' or 'left'.")
    if start_at_layer is not None:
        return _residual(given, tokens, attention_mask, side)
    texts = None
    if is_text(given):
        texts = "one" if isinstance(given, str) else "many"
        found = model.tokenize(given, prepend_bos, side)
        if attention_mask is None:
            return dataclasses.replace(found, texts=texts)
        ids = found.padded(model.pad_token_id)
    else:
        ids = token_ids(given)
        if attention_mask is None and side == "left" and model.tokenizer is not None:
            bos = model.cfg.default_prepend_bos if prepend_bos is None else prepend_bos
            attention_mask = get_attention_mask(model.tokenizer, ids, bos, "left")
    return Input(ids.tolist(), _masks(attention_mask, ids.shape), side, texts=texts)


def is_text(given: Any) -> bool:
    """Whether it is a text or a list of texts."""
    return isinstance(given, str) or isinstance(given, (list, tuple)) and len(given) > 0 and all(isinstance(item, str) for item in given)


def warn_of_padding(model: Any, given: Input) -> None:
    """Warns where a loss counts what looks like padding: rows of ids, some of which end in the padding token, and no mask."""
    pad = model.pad_token_id
    if given.masks or given.texts or pad is None or len(given.rows) < 2 or given.side != "right":
        return
    ends = [row[-1] == pad for row in given.rows if row]
    if any(ends) and not all(ends):
        warnings.warn(
            f"{sum(ends)} of {len(ends)} rows end in the padding token {pad}, and without attention_mask it counts in the loss. Give texts "
            "instead of ids, or attention_mask=utils.get_attention_mask(model.tokenizer, tokens, prepend_bos).", InterpWarning,
            stacklevel=4)


def _residual(given: Any, tokens: Any, attention_mask: Any, side: str) -> Input:
    if not arrays.is_array(given) or given.ndim != 3:
        shape = f" of shape {list(given.shape)}" if hasattr(given, "shape") else ""
        raise InvalidArgumentError("RESIDUAL_SHAPE", f"start_at_layer goes on from a residual stream [batch, pos, d_model]; the input is a "
                                   f"{type(given).__name__}{shape}.")
    masks = None if attention_mask is None else _masks(attention_mask, tuple(given.shape[:2]))
    if tokens is not None:
        rows = token_ids(tokens).tolist()
    else:
        # A mask belongs to rows; which tokens they hold does not matter here.
        rows = np.zeros(given.shape[:2], np.int64).tolist() if masks else []
    return Input(rows, masks, side, given)


def _masks(attention_mask: Any, shape: tuple[int, ...]) -> list[list[bool]] | None:
    if attention_mask is None:
        return None
    mask = arrays.to_numpy(attention_mask)
    mask = mask[None] if mask.ndim == 1 else mask
    if mask.shape != tuple(shape):
        raise InvalidArgumentError("MASK_SHAPE", f"attention_mask is {list(mask.shape)}; the tokens are {list(shape)}.")
    mask = mask.astype(bool)
    return None if mask.all() else mask.tolist()
