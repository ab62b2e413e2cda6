"""Masks of padded rows, and corpora of tokens."""

from __future__ import annotations

from typing import Any, Iterable

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp.errors import FailedPreconditionError, UnimplementedError


def get_attention_mask(tokenizer: Any, tokens: Any, prepend_bos: bool, padding_side: str | None = None) -> Any:
    """[batch, pos]: 0 for the padding at one end of each row, 1 for everything else.

    A padding token amid the text counts as text. Where the BOS is the padding token too, the last one on the left is the BOS.
    Source: TransformerLens 3.9, utilities.get_attention_mask.
    """
    ids = arrays.to_numpy(tokens)
    mask = np.ones_like(ids)
    if tokenizer is not None and tokenizer.pad_token_id is not None:
        text = ids != tokenizer.pad_token_id
        if (padding_side or tokenizer.padding_side) == "right":
            mask[text[..., ::-1].cumsum(-1)[..., ::-1] == 0] = 0
        else:
            leading = text.cumsum(-1) == 0
            mask[leading] = 0
            if prepend_bos and tokenizer.bos_token_id == tokenizer.pad_token_id:
                bos = leading.sum(-1) - 1
                rows = np.flatnonzero(bos >= 0)
                mask[rows, bos[rows]] = 1
    return arrays.like(mask, tokens)


def get_tokens_with_bos_removed(tokenizer: Any, tokens: Any, padding_side: str | None = None) -> Any:
    """Rows [batch, pos] without their BOS: [batch, pos - 1]."""
    if tokenizer.bos_token_id is None:
        return tokens
    if (padding_side or tokenizer.padding_side) == "right":
        return tokens[..., 1:]
    ids = arrays.to_numpy(tokens)
    if tokenizer.bos_token_id == tokenizer.pad_token_id:
        place = ((ids != tokenizer.pad_token_id).cumsum(-1) == 0).sum(-1) - 1
    else:
        place = (ids == tokenizer.bos_token_id).argmax(-1)
    kept = np.arange(ids.shape[-1]) != place[:, None]
    return arrays.like(ids[kept].reshape(len(ids), -1), tokens)


def tokenize_and_concatenate(
    dataset: Any, tokenizer: Any, streaming: bool = False, max_length: int = 1024, column_name: str = "text", add_bos_token: bool = True,
    num_proc: int | None = 10, set_format: bool = True,
) -> Any:
    """Texts, joined by EOS, as rows of max_length tokens for training.

    dataset  texts; or rows with a column column_name; or a Hugging Face dataset, which then gives one back with the column "tokens"
    Returns tokens [rows, max_length]. The rest that fills no row is dropped; a corpus short of one row is filled up with padding.
    Source: TransformerLens 3.9, which cuts its batches of 1000 texts apart in the same way. tokenizer is left as it is.
    """
    if hasattr(dataset, "map") and hasattr(dataset, "column_names"):
        others = [name for name in dataset.column_names if name != column_name]
        options = {} if streaming else {"num_proc": num_proc}
        mapped = dataset.remove_columns(others).map(
            lambda batch: {"tokens": _rows(batch[column_name], tokenizer, max_length, add_bos_token)}, batched=True,
            remove_columns=[column_name], **options)
        if set_format:
            mapped.set_format(type="torch", columns=["tokens"])
        return mapped
    texts = [row if isinstance(row, str) else row[column_name] for row in dataset]
    return arrays.from_numpy(_rows(texts, tokenizer, max_length, add_bos_token))


def _rows(texts: Iterable[str], tokenizer: Any, max_length: int, add_bos_token: bool) -> np.ndarray:
    if tokenizer.eos_token_id is None:
        raise FailedPreconditionError("NO_EOS_TOKEN", "Texts are joined by the EOS token, and this tokenizer has none.")
    width = max_length - 1 if add_bos_token else max_length
    flat: list[int] = []
    for index, text in enumerate(texts):
        flat += ([tokenizer.eos_token_id] if index else []) + list(tokenizer.encode(text, add_special_tokens=False))
    if not flat:
        return np.empty((0, max_length), np.int64)
    padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    count = max(1, len(flat) // width)
    rows = np.full(count * width, padding, np.int64)
    rows[:len(flat)] = flat[:count * width]
    rows = rows.reshape(count, width)
    return np.concatenate([np.full((count, 1), tokenizer.bos_token_id, np.int64), rows], 1) if add_bos_token else rows


def get_dataset(dataset_name: str, **kwargs: Any) -> Any:
    """Corpora of the hub are not downloaded: nothing here reaches the network."""
    raise UnimplementedError("NO_DOWNLOADS", f"get_dataset({dataset_name!r}) would download; nothing here does. Load the corpus with the "
                             "datasets package, or read a file, and give its texts to tokenize_and_concatenate.")
