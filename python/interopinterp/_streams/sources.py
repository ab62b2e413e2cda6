"""What a stream runs over."""

from __future__ import annotations

import os
from typing import Any, Sequence

from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp.errors import unknown

_DOCUMENTS = {
    "file": pb.TEXT_DOCUMENTS_FILE, "line": pb.TEXT_DOCUMENTS_LINE, "paragraph": pb.TEXT_DOCUMENTS_PARAGRAPH,
    "json": pb.TEXT_DOCUMENTS_JSON_LINE}
_TYPES = {"uint16": pb.TOKEN_TYPE_U16, "uint32": pb.TOKEN_TYPE_U32, "int32": pb.TOKEN_TYPE_I32, "int64": pb.TOKEN_TYPE_I64}


def text(
    paths: Any, documents: str = "line", row_length: int = 128, prepend_bos: bool = True, field: str = "text",
    documents_per_batch: int = 1000,
) -> pb.TokenSource:
    """UTF-8 text files (a server's are below its model roots): documents, joined by EOS and cut into rows; nothing is dropped.

    documents   what is one: "line", "paragraph", "file", or "json" (JSONL, whose text is in a field)
    row_length  tokens in a row, its BOS included
    """
    if documents not in _DOCUMENTS:
        raise unknown("UNKNOWN_DOCUMENTS", "kind of documents", documents, _DOCUMENTS)
    return pb.TokenSource(text=pb.TextSource(
        paths=_paths(paths), documents=_DOCUMENTS[documents], field=field, rows=_rows(row_length, prepend_bos, documents_per_batch)))


def shards(
    paths: Any, row_length: int = 128, bos: int | None = None, dtype: str = "uint16", tensor: str = ""
) -> pb.TokenSource:
    """Files of token ids: .npy, .safetensors, or nothing but numbers, little-endian, as nanoGPT's .bin.

    row_length  tokens in a row where a file is one run of tokens; [rows, tokens] are rows already
    bos         a token to put in front of every row; None: none
    dtype       of files without a header: "uint16", "uint32", "int32", "int64"
    tensor      of a safetensors file; its only one if empty
    """
    if dtype not in _TYPES:
        raise unknown("UNKNOWN_DTYPE", "type of token ids", dtype, _TYPES)
    return pb.TokenSource(shards=pb.TokenShards(paths=_paths(paths), row_length=row_length, bos=bos, raw=_TYPES[dtype], tensor=tensor))


def parquet(
    paths: Any, column: str = "text", row_length: int = 128, prepend_bos: bool = True, documents_per_batch: int = 1000
) -> pb.TokenSource:
    """A column of Parquet files: texts, which are documents as in text(), or lists of token ids: a row each, cut where longer.

    prepend_bos  of lists too, where the model has a tokenizer, and row_length counts it: give False where they begin with one or fill a row
    """
    return pb.TokenSource(parquet=pb.ParquetSource(
        paths=_paths(paths), column=column, rows=_rows(row_length, prepend_bos, documents_per_batch)))


def read(model: Any, given: Any) -> pb.TokenSource:
    """A source, or what a model takes as input: texts, or token ids [batch, pos]."""
    if isinstance(given, pb.TokenSource):
        return given
    read = inputs.read(model, given)
    kept = [[token for token, there in zip(row, read.masks[i]) if there] if read.masks else row for i, row in enumerate(read.rows)]
    return pb.TokenSource(rows=pb.TokenRows(rows=[pb.TokenRow(tokens=row) for row in kept]))


def _rows(row_length: int, prepend_bos: bool, documents_per_batch: int) -> pb.RowOptions:
    return pb.RowOptions(row_length=row_length, no_bos=not prepend_bos, documents_per_batch=documents_per_batch)


def _paths(paths: Any) -> Sequence[str]:
    return [os.fspath(paths)] if isinstance(paths, (str, os.PathLike)) else [os.fspath(path) for path in paths]
