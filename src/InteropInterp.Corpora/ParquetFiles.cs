using InteropInterp.Models;
using InteropInterp.Streams.Sources;
using InteropInterp.Tokens;

namespace InteropInterp.Corpora;

/// <summary>A column of Parquet files as a token stream. A row group is in memory at a time.</summary>
public static class ParquetFiles
{
    /// <summary>
    /// A column of texts: documents, as those of text files. A column of lists of token ids: a row each, or several where a list is
    /// longer than a row; they are not joined.
    /// </summary>
    /// <param name="tokenizer">For texts, and for the BOS in front of rows; null: token ids only, without BOS.</param>
    /// <exception cref="InterpException">NO_FILES, FILE_NOT_FOUND, UNKNOWN_COLUMN, PARQUET_TYPE, PARQUET_INVALID, NO_TOKENIZER, and those of
    /// <see cref="DocumentSource"/>; while rows are read PARQUET_INVALID, TOKEN_OUT_OF_RANGE.</exception>
    public static ITokenSource Open(
        IReadOnlyList<string> paths, string column, ModelTokenizer? tokenizer, TokenizedCorpusOptions? options = null)
    {
        StreamFiles.Require(paths);
        options ??= new TokenizedCorpusOptions();
        var read = new ParquetColumn(paths, column);
        string Identity() => $"parquet {FileDigest.Of(paths)} {column}";
        if (!read.HoldsText)
            return new TokenLists(read.Lists, Identity, options.RowLength, options.PrependBos ? tokenizer?.RequireBos() : null);
        if (tokenizer is null)
            throw InterpException.Precondition("NO_TOKENIZER", $"Column '{column}' holds texts, and there is no tokenizer to read them with.");
        return new DocumentSource(tokenizer, read.Texts, Identity, options);
    }
}
