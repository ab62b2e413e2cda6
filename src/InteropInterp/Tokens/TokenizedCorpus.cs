namespace InteropInterp.Tokens;

/// <summary>How documents become rows of one length.</summary>
public sealed record TokenizedCorpusOptions
{
    /// <summary>max_length: tokens in a row, the BOS included.</summary>
    public int RowLength { get; init; } = 1024;

    /// <summary>add_bos_token: every row begins with one.</summary>
    public bool PrependBos { get; init; } = true;

    /// <summary>So many documents are joined at a time; what is left over of them makes no row and is dropped.</summary>
    public int DocumentsPerBatch { get; init; } = 1000;

    /// <summary>What is left over makes a shorter row instead, and nothing is filled up with padding.</summary>
    public bool KeepsRest { get; init; }
}

/// <summary>Documents joined by EOS and cut into rows: tokenize_and_concatenate of TransformerLens 3.9.</summary>
public static class TokenizedCorpus
{
    /// <summary>
    /// [row][RowLength] ids. A batch that is shorter than a row is filled up with padding. No document gets the special tokens of
    /// the tokenizer's template, and the tokenizer is not changed (TransformerLens adds a padding token to it).
    /// </summary>
    /// <exception cref="InterpException">NO_EOS_TOKEN, NO_BOS_TOKEN, ROW_LENGTH_TOO_SMALL.</exception>
    public static IEnumerable<int[]> Rows(ModelTokenizer tokenizer, IEnumerable<string> documents, TokenizedCorpusOptions options)
    {
        var prefix = options.PrependBos ? [tokenizer.RequireBos()] : Array.Empty<int>();
        var length = options.RowLength - prefix.Length;
        InterpException.Require(length > 0 && options.DocumentsPerBatch > 0, "ROW_LENGTH_TOO_SMALL",
            $"Rows of {options.RowLength} tokens from batches of {options.DocumentsPerBatch} documents have no room for text.");
        InterpException.Require(tokenizer.EosId is not null, "NO_EOS_TOKEN", "The tokenizer has no EOS token to put between documents.");
        return Cut(tokenizer, documents, length, options).Select(row => (int[])[.. prefix, .. row]);
    }

    // Rows are given as soon as they are full: one document is held at a time.
    private static IEnumerable<int[]> Cut(ModelTokenizer tokenizer, IEnumerable<string> documents, int length, TokenizedCorpusOptions options)
    {
        using var reader = documents.GetEnumerator();
        for (var more = reader.MoveNext(); more;)
        {
            var ids = new List<int>();
            var hasRow = false;
            for (var i = 0; more && i < options.DocumentsPerBatch; i++, more = reader.MoveNext())
            {
                if (i > 0) ids.Add(tokenizer.EosId!.Value);
                ids.AddRange(tokenizer.Tokenizer.Encode(reader.Current));
                var full = ids.Count / length * length;
                for (var start = 0; start < full; start += length) yield return ids.GetRange(start, length).ToArray();
                ids.RemoveRange(0, full);
                hasRow |= full > 0;
            }
            if (options.KeepsRest)
            {
                if (ids.Count > 0) yield return ids.ToArray();
                continue;
            }
            if (hasRow) continue;
            while (ids.Count < length) ids.Add(tokenizer.PadId!.Value);
            yield return ids.ToArray();
        }
    }
}
