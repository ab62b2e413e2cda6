"""model.tokenizer: the engine's tokenizer with the names that Hugging Face's have."""

from __future__ import annotations

import functools
from typing import Any, Iterable

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._model.inputs import SIDE_NAMES, SIDES


class Tokenizer:
    """A model's tokenizer.

    bos_token_id, eos_token_id, pad_token_id  as TransformerLens sets them: without a padding or BOS token the EOS takes the part
    padding_side  "right" or "left": what calls do that do not say; may be set
    """

    def __init__(self, transport: Any, model: str, told: pb.Tokenizer, padding_side: str | None = None):
        self._transport = transport
        self.model = model
        self.vocab_size = told.vocabulary_size
        self.bos_token_id = told.bos_token_id if told.HasField("bos_token_id") else None
        self.eos_token_id = told.eos_token_id if told.HasField("eos_token_id") else None
        self.pad_token_id = told.pad_token_id if told.HasField("pad_token_id") else None
        self.default_prepend_bos = told.default_prepend_bos
        self.padding_side = padding_side or SIDE_NAMES.get(told.default_padding_side, "right")

    def __len__(self) -> int:
        return self.vocab_size

    @functools.cached_property
    def bos_token(self) -> str | None:
        """The text of the BOS token."""
        return None if self.bos_token_id is None else self.decode([self.bos_token_id])

    @functools.cached_property
    def eos_token(self) -> str | None:
        """The text of the EOS token."""
        return None if self.eos_token_id is None else self.decode([self.eos_token_id])

    @functools.cached_property
    def pad_token(self) -> str | None:
        """The text of the padding token."""
        return None if self.pad_token_id is None else self.decode([self.pad_token_id])

    @property
    def all_special_ids(self) -> list[int]:
        """BOS, EOS and padding."""
        return sorted({i for i in (self.bos_token_id, self.eos_token_id, self.pad_token_id) if i is not None})

    def tokenize_rows(self, texts: Iterable[str], prepend_bos: bool | None, padding_side: str | None = None, keep_long: bool = False,
                      pieces: bool = False) -> pb.TokenizeResponse:
        """Rows of token ids; see HookedTransformer.to_tokens."""
        return self._transport.call(pb.TokenizeRequest(
            model=self.model, texts=texts, prepend_bos=prepend_bos, padding_side=SIDES[padding_side or self.padding_side],
            keep_long=keep_long,
            with_pieces=pieces))

    def detokenize_rows(self, rows: Iterable[Iterable[int]]) -> list[pb.DetokenizedRow]:
        """Text and pieces of rows of token ids."""
        request = pb.DetokenizeRequest(model=self.model, rows=[pb.TokenRow(tokens=row) for row in rows])
        return list(self._transport.call(request).rows)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The token ids of a text; with special tokens, a BOS in front where the model wants one."""
        if not text and not add_special_tokens:
            return []
        return list(self.tokenize_rows([text], None if add_special_tokens else False, keep_long=True).rows[0].tokens)

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **_: Any) -> str:
        """The text of token ids."""
        ids = np.atleast_1d(arrays.to_numpy(token_ids)).tolist()
        special = set(self.all_special_ids) if skip_special_tokens else ()
        return self.detokenize_rows([[i for i in ids if i not in special]])[0].text

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, **_: Any) -> list[str]:
        """The texts of rows of token ids."""
        return [self.decode(row, skip_special_tokens) for row in sequences]

    def __call__(self, text: str | list[str], add_special_tokens: bool = True, **_: Any) -> dict[str, Any]:
        """{"input_ids": ...}: a list of ids, or one for each text; not padded."""
        if isinstance(text, str):
            return {"input_ids": self.encode(text, add_special_tokens)}
        return {"input_ids": [self.encode(item, add_special_tokens) for item in text]}

    def __repr__(self) -> str:
        special = f"bos {self.bos_token_id}, eos {self.eos_token_id}, pad {self.pad_token_id}"
        return f"Tokenizer({self.vocab_size} tokens, {special}, {self.padding_side})"
