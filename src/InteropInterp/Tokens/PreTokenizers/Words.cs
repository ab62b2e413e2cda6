using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.PreTokenizers;

/// <summary>A text and the words that it is cut into so far; pre-tokenizers cut the words further or rewrite the text.</summary>
internal sealed class Words(AlignedText text, bool isAtTextStart)
{
    private List<TextSpan> words = text.Length == 0 ? [] : [new(0, text.Length)];
    private List<TextSpan> spare = [];
    private readonly List<TextSpan> matches = [];

    public AlignedText Text { get; private set; } = text;

    /// <summary>No added token stands before this text.</summary>
    public bool IsAtTextStart { get; } = isAtTextStart;

    public AlignedText this[int index] => Text.Slice(words[index].Start, words[index].End - words[index].Start);

    public int Count => words.Count;

    /// <summary>Cuts every word at the matches in it; with <paramref name="invert"/>, at what lies between them.</summary>
    public void Split(IMatcher matcher, SplitBehavior behavior, bool invert)
    {
        spare.Clear();
        foreach (var word in words)
        {
            matches.Clear();
            matcher.FindMatches(Text.Chars[word.Start..word.End], matches);
            SplitWord(word, behavior, invert);
        }
        (words, spare) = (spare, words);
    }

    /// <summary>Writes every word anew, by itself.</summary>
    public void Rewrite(int capacity, Action<AlignedText, AlignedTextBuilder> write)
    {
        var builder = new AlignedTextBuilder(capacity, Text.HasSources);
        for (var i = 0; i < words.Count; i++)
        {
            var start = builder.Length;
            write(this[i], builder);
            words[i] = new(start, builder.Length);
        }
        Text = builder.Build();
    }

    private void SplitWord(TextSpan word, SplitBehavior behavior, bool invert)
    {
        var first = spare.Count;
        var wasMatch = false;
        var position = 0;
        var length = word.End - word.Start;
        foreach (var match in matches)
        {
            if (match.Start > position) Add(new(position, match.Start), invert);
            Add(match, !invert);
            position = match.End;
        }
        if (position < length) Add(new(position, length), invert);

        void Add(TextSpan part, bool isMatch)
        {
            var merges = behavior switch
            {
                SplitBehavior.Contiguous => isMatch == wasMatch,
                SplitBehavior.MergedWithPrevious => isMatch && !wasMatch,
                SplitBehavior.MergedWithNext => !isMatch && wasMatch,
                _ => false,
            };
            wasMatch = isMatch;
            if (part.Start == part.End || isMatch && behavior == SplitBehavior.Removed) return;
            var moved = new TextSpan(word.Start + part.Start, word.Start + part.End);
            if (merges && spare.Count > first) spare[^1] = new(spare[^1].Start, moved.End);
            else spare.Add(moved);
        }
    }
}
