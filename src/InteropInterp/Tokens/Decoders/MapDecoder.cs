namespace InteropInterp.Tokens.Decoders;

/// <summary>Changes every piece by itself, knowing which one it is of how many.</summary>
internal sealed class MapDecoder(Func<string, int, int, string> map) : IDecoder
{
    /// <summary>Another string in the place of one.</summary>
    public static MapDecoder Replace(string pattern, string content) =>
        new((piece, _, _) => pattern.Length == 0 ? piece : piece.Replace(pattern, content, StringComparison.Ordinal));

    /// <summary>Takes away up to so many of a character at the start and at the end.</summary>
    public static MapDecoder Strip(char content, int start, int stop) => new((piece, _, _) =>
    {
        var from = 0;
        while (from < piece.Length && from < start && piece[from] == content) from++;
        var to = piece.Length;
        while (to > from && piece.Length - to < stop && piece[to - 1] == content) to--;
        return piece[from..to];
    });

    /// <summary>Marks to spaces; in the first piece they go, where the pre-tokenizer put one there.</summary>
    public static MapDecoder Metaspace(char mark, bool prepended) => new((piece, index, _) =>
        index == 0 && prepended ? piece.Replace(mark.ToString(), "", StringComparison.Ordinal) : piece.Replace(mark, ' '));

    /// <summary>The suffix that ends a word becomes a space, at the very end nothing.</summary>
    public static MapDecoder EndOfWord(string suffix) => new((piece, index, count) =>
        suffix.Length == 0 ? piece : piece.Replace(suffix, index == count - 1 ? "" : " ", StringComparison.Ordinal));

    public List<string> Decode(List<string> pieces) => pieces.Select((piece, index) => map(piece, index, pieces.Count)).ToList();
}
