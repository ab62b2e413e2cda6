using System.Runtime.InteropServices;

namespace InteropInterp.Tokens;

/// <summary>The tokens of a text as they are found; where each stands only if that is asked for.</summary>
internal sealed class TokenList(bool withSpans)
{
    private readonly List<int> ids = [];
    private readonly List<TextSpan> spans = [];
    private readonly List<string?> texts = [];

    public bool HasSpans { get; } = withSpans;

    public int Count => ids.Count;

    public Span<TextSpan> Spans => CollectionsMarshal.AsSpan(spans);

    /// <param name="text">What was matched, where that is not the token itself (an added token with the spaces around it).</param>
    public void Add(int id, TextSpan span, string? text = null)
    {
        ids.Add(id);
        if (!HasSpans) return;
        spans.Add(span);
        texts.Add(text);
    }

    public void AddRange(ReadOnlySpan<int> range) => ids.AddRange(range);

    public int Id(int index) => ids[index];

    public string? MatchedText(int index) => texts[index];

    /// <summary>Puts special tokens around what is there; they stand nowhere in the text.</summary>
    public void Surround(IReadOnlyList<int> before, IReadOnlyList<int> after)
    {
        ids.InsertRange(0, before);
        ids.AddRange(after);
        if (!HasSpans) return;
        spans.InsertRange(0, new TextSpan[before.Count]);
        spans.AddRange(new TextSpan[after.Count]);
        texts.InsertRange(0, new string?[before.Count]);
        texts.AddRange(new string?[after.Count]);
    }

    public int[] ToIds() => ids.ToArray();

    public Encoding ToEncoding() => new(ids.ToArray(), spans.ToArray());
}
