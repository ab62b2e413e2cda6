using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.PreTokenizers;

/// <summary>Which words get a mark in front.</summary>
internal enum PrependScheme
{
    Never,

    /// <summary>Every one that does not begin with the mark already.</summary>
    Always,

    /// <summary>The same, at the start of the whole text only.</summary>
    First,
}

/// <summary>SentencePiece's visible space: spaces become a mark ("▁"), and words begin at it.</summary>
internal sealed class Metaspace(char mark, PrependScheme scheme, bool split) : IPreTokenizer
{
    private readonly LiteralMatcher marks = new(mark.ToString());

    public void Apply(Words words)
    {
        var isAtStart = words.IsAtTextStart;
        words.Rewrite(words.Text.Length + words.Count, (word, output) =>
        {
            var first = word.Chars[0];
            var prepends = scheme == PrependScheme.Always || scheme == PrependScheme.First && isAtStart && output.Length == 0;
            if (prepends && first != ' ' && first != mark) output.Append(mark, word.Source(0));
            for (var i = 0; i < word.Length; i++) output.Append(word.Chars[i] == ' ' ? mark : word.Chars[i], word.Source(i));
        });
        if (split) words.Split(marks, SplitBehavior.MergedWithNext, invert: false);
    }
}
