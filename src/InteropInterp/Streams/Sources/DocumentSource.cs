using InteropInterp.Tokens;

namespace InteropInterp.Streams.Sources;

/// <summary>
/// Documents, joined by EOS and cut into rows as they are read (<see cref="TokenizedCorpus"/>). Nothing is dropped: what is left of
/// a batch of documents makes a shorter row. To go on from the middle, what lies before is tokenized again.
/// </summary>
public sealed class DocumentSource : ITokenSource
{
    private readonly ModelTokenizer tokenizer;
    private readonly Func<IEnumerable<string>> documents;
    private readonly Func<string> identity;
    private readonly TokenizedCorpusOptions options;

    /// <param name="documents">Reads them anew, in the same order each time.</param>
    /// <param name="identity">What they are; asked for where a checkpoint needs it.</param>
    /// <exception cref="InterpException">NO_EOS_TOKEN, NO_BOS_TOKEN, ROW_LENGTH_TOO_SMALL.</exception>
    public DocumentSource(
        ModelTokenizer tokenizer, Func<IEnumerable<string>> documents, Func<string> identity, TokenizedCorpusOptions? options = null)
    {
        (this.tokenizer, this.documents, this.identity) = (tokenizer, documents, identity);
        this.options = (options ?? new TokenizedCorpusOptions()) with { KeepsRest = true };
        // Refused here rather than at the first row.
        TokenizedCorpus.Rows(tokenizer, [], this.options);
    }

    public string Identity => $"{identity()} rows of {options.RowLength} {(options.PrependBos ? "with" : "without")} BOS, "
        + $"{options.DocumentsPerBatch} documents at a time";

    public int RowLength => options.RowLength;

    public long? RowCount => null;

    public IEnumerable<int[]> Rows(long from)
    {
        var row = 0L;
        foreach (var tokens in TokenizedCorpus.Rows(tokenizer, documents(), options))
            if (row++ >= from) yield return tokens;
    }

    public void Dispose()
    {
    }
}
