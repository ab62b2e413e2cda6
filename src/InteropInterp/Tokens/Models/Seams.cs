using System.Text;

namespace InteropInterp.Tokens.Models;

/// <summary>
/// Where a long word may be cut without changing its tokens: between two characters that are tokens themselves and that no
/// merge has on the two sides of its joint. Llama-style tokenizers hand over a whole text as one word; cut at its seams, its
/// parts are short and repeat.
/// </summary>
internal sealed class Seams
{
    /// <summary>Shorter words are not worth the search.</summary>
    public const int WorthLooking = 48;

    private readonly HashSet<long> joints = [];
    private readonly IReadOnlyDictionary<int, int> idOfRune;

    public Seams(Vocabulary vocabulary, MergeTable merges, IReadOnlyDictionary<int, int> idOfRune)
    {
        this.idOfRune = idOfRune;
        foreach (var (left, right) in merges.Pairs)
        {
            Rune.DecodeLastFromUtf16(vocabulary.TokenOf(left), out var last, out _);
            Rune.DecodeFromUtf16(vocabulary.TokenOf(right), out var first, out _);
            joints.Add(Key(last, first));
        }
    }

    /// <summary>The first seam after a position, or 0 where none is left.</summary>
    public int Next(ReadOnlySpan<char> word, int from)
    {
        if (from >= word.Length) return 0;
        Rune.DecodeFromUtf16(word[from..], out var left, out var length);
        for (var at = from + length; at < word.Length; at += length)
        {
            Rune.DecodeFromUtf16(word[at..], out var right, out length);
            if (!joints.Contains(Key(left, right)) && idOfRune.ContainsKey(left.Value) && idOfRune.ContainsKey(right.Value)) return at;
            left = right;
        }
        return 0;
    }

    private static long Key(Rune left, Rune right) => (long)left.Value << 32 | (uint)right.Value;
}
