"""Text and token ids, as TransformerLens 3.9 converts them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._model.tokenizer import Tokenizer
from interopinterp.errors import FailedPreconditionError, InterpWarning, InvalidArgumentError, NotFoundError


class Tokens:
    """The calls between texts and tokens. prepend_bos=None and padding_side=None stand for the model's defaults."""

    def set_tokenizer(self, tokenizer: Any, default_padding_side: str | None = None) -> None:
        """Takes the tokenizer of another model of the same engine (other.tokenizer)."""
        if not isinstance(tokenizer, Tokenizer):
            raise InvalidArgumentError(
                "UNKNOWN_TOKENIZER",
                f"A {type(tokenizer).__name__} cannot serve the engine; the tokenizer of another model can (other.tokenizer). "
                "The engine reads tokenizer.json, vocab.json with merges.txt, tokenizer.model and GGUF: save yours beside the model "
                "(tokenizer.save_pretrained(folder)) and load that.")
        self.tokenizer = tokenizer
        self._tokenizer_of = tokenizer.model
        self.cfg.tokenizer_prepends_bos = tokenizer.default_prepend_bos
        if default_padding_side is not None:
            tokenizer.padding_side = default_padding_side

    @property
    def default_padding_side(self) -> str:
        """What calls do that do not say."""
        return "right" if self.tokenizer is None else self.tokenizer.padding_side

    @property
    def pad_token_id(self) -> int | None:
        """What shorter rows are filled up with."""
        return None if self.tokenizer is None else self.tokenizer.pad_token_id

    def tokenize(self, texts: str | list[str], prepend_bos: bool | None, padding_side: str | None, truncate: bool = True) -> inputs.Input:
        """Texts as rows of ids, not padded. What is cut to the context is warned of."""
        tokenizer = self._tokenizer("A text")
        texts = [texts] if isinstance(texts, str) else list(texts)
        side = padding_side or tokenizer.padding_side
        if side not in inputs.SIDES:
            raise InvalidArgumentError("INVALID_PADDING_SIDE", f"padding_side is {side!r}; it may be 'right' or 'left'.")
        bos = self._bos(prepend_bos)
        rows = [list(row.tokens) for row in tokenizer.tokenize_rows(texts, bos, side, keep_long=True).rows]
        longest = max(map(len, rows))
        if truncate and longest > self.cfg.n_ctx:
            warnings.warn(f"The text has {longest} tokens and is cut to the model's context of {self.cfg.n_ctx}; truncate=False keeps it "
                          "whole.",
                          InterpWarning, stacklevel=5)
            rows = [list(row.tokens)[:self.cfg.n_ctx] for row in tokenizer.tokenize_rows(texts, bos, side).rows]
        return inputs.Input(rows, side=side)

    def to_tokens(
        self, input: str | list[str], prepend_bos: bool | None = None, padding_side: str | None = None, move_to_device: bool = True,
        truncate: bool = True,
    ) -> Any:
        """Token ids [batch, pos] int64 of a text or several, shorter rows filled up with the padding token.

        truncate  cut to n_ctx (with a warning). Raises NO_TOKENIZER, EMPTY_INPUT.
        """
        if not inputs.is_text(input):
            raise InvalidArgumentError("NOT_A_TEXT", f"to_tokens takes a text or a list of texts; got {_named(input)}.")
        found = self.tokenize(input, prepend_bos, padding_side, truncate)
        return arrays.from_numpy(found.padded(self.pad_token_id))

    def to_string(self, tokens: Any) -> str | list[str]:
        """The text of tokens [pos], or the texts of [batch, pos], special tokens included."""
        tokenizer = self._tokenizer("to_string")
        if isinstance(tokens, (list, tuple)) and tokens and not isinstance(tokens[0], (int, np.integer)):
            return [row.text for row in tokenizer.detokenize_rows([np.atleast_1d(arrays.to_numpy(row)).tolist() for row in tokens])]
        ids = arrays.to_numpy(tokens)
        if ids.ndim > 2:
            raise InvalidArgumentError("TOKENS_SHAPE", f"The tokens are {list(ids.shape)}; [pos] or [batch, pos] is expected.")
        texts = [row.text for row in tokenizer.detokenize_rows(np.atleast_2d(ids).tolist())]
        return texts if ids.ndim == 2 else texts[0]

    def to_str_tokens(self, input: Any, prepend_bos: bool | None = None, padding_side: str | None = None) -> list:
        """The text of each token by itself: of a text, of tokens [pos] or [1, pos]; of a list of texts, a list for each."""
        tokenizer = self._tokenizer("to_str_tokens")
        if isinstance(input, str):
            rows = self.tokenize(input, prepend_bos, padding_side).rows
        elif isinstance(input, (list, tuple)) and not all(isinstance(item, (int, np.integer)) for item in input):
            return [self.to_str_tokens(item, prepend_bos, padding_side) for item in input]
        else:
            ids = np.atleast_1d(arrays.to_numpy(input).squeeze())
            if ids.ndim != 1:
                raise InvalidArgumentError("TOKENS_SHAPE", f"The tokens are {list(ids.shape)}; [pos] or [1, pos] is expected.")
            rows = [ids.tolist()]
        return list(tokenizer.detokenize_rows(rows)[0].pieces)

    def to_single_token(self, string: str) -> int:
        """The id of a text that is one token. Raises NOT_A_SINGLE_TOKEN, which says into which tokens it falls."""
        return self.transport.call(pb.GetSingleTokenRequest(model=self._tokenizer("to_single_token").model, text=string)).token

    def to_single_str_token(self, int_token: int) -> str:
        """The text of one token id."""
        if isinstance(int_token, bool) or not isinstance(int_token, (int, np.integer)):
            raise InvalidArgumentError("NOT_A_TOKEN_ID", f"to_single_str_token takes one token id; got {_named(int_token)}.")
        return self._tokenizer("to_single_str_token").detokenize_rows([[int(int_token)]])[0].pieces[0]

    def get_token_position(
        self, single_token: str | int, input: Any, mode: str = "first", prepend_bos: bool | None = None, padding_side: str | None = None
    ) -> int:
        """Where a token stands in a text or in tokens [pos] or [1, pos]: its "first" or "last" position. Raises TOKEN_ABSENT."""
        if mode not in ("first", "last"):
            raise InvalidArgumentError("INVALID_MODE", f"mode is {mode!r}; it may be 'first' or 'last'.")
        ids = inputs.token_ids(self.to_tokens(input, prepend_bos, padding_side) if isinstance(input, str) else input)
        if len(ids) != 1:
            raise InvalidArgumentError("TOKENS_SHAPE", f"The tokens are {list(ids.shape)}; [pos] or [1, pos] is expected.")
        token = self.to_single_token(single_token) if isinstance(single_token, str) else int(single_token)
        places = np.flatnonzero(ids[0] == token)
        if not len(places):
            named = f" ({self.to_single_str_token(token)!r})" if self.tokenizer is not None else ""
            raise NotFoundError("TOKEN_ABSENT", f"The token {token}{named} does not occur in the {ids.shape[1]} tokens of the prompt.")
        return int(places[0 if mode == "first" else -1])

    def tokens_to_residual_directions(self, tokens: Any) -> Any:
        """The columns of W_U of tokens: [d_model] of one (text, id), [..., d_model] of an array. Sensible only with ln folded."""
        ids = np.asarray(self.to_single_token(tokens)) if isinstance(tokens, str) else arrays.to_numpy(tokens)
        columns = arrays.to_numpy(self.W_U)[:, ids.squeeze() if ids.size == 1 else ids]
        return arrays.from_numpy(np.ascontiguousarray(np.moveaxis(columns, 0, -1)))

    def _tokenizer(self, what: str) -> Tokenizer:
        if self.tokenizer is None:
            raise FailedPreconditionError("NO_TOKENIZER",
                                          f"{what} needs a tokenizer, and the model '{self.cfg.model_name}' has none: give token "
                                          "ids, or model.set_tokenizer(other.tokenizer).")
        return self.tokenizer

    def _bos(self, prepend_bos: bool | None) -> bool:
        return self.cfg.default_prepend_bos if prepend_bos is None else bool(prepend_bos)


def _named(value: Any) -> str:
    return f"an array of shape {list(value.shape)}" if hasattr(value, "shape") else f"a {type(value).__name__}"
