namespace InteropInterp.Tokens.Models;

/// <summary>A word that was tokenized before: its ids, and the unit of the word at which each token begins and ends.</summary>
internal sealed record CachedWord(string Word, int[] Ids, (int Start, int End)[] Bounds);

/// <summary>
/// The words seen last, in a table of fixed size in which a word has one place. A reader sees a whole entry or none, so no lock
/// is needed.
/// </summary>
internal sealed class WordCache
{
    private const int Places = 1 << 15;

    private readonly CachedWord?[] words = new CachedWord?[Places];

    public CachedWord? Find(ReadOnlySpan<char> word)
    {
        var found = Volatile.Read(ref words[Place(word)]);
        return found is not null && word.SequenceEqual(found.Word) ? found : null;
    }

    public void Store(CachedWord word) => Volatile.Write(ref words[Place(word.Word)], word);

    private static int Place(ReadOnlySpan<char> word)
    {
        // FNV-1a over UTF-16 units, high bits folded in.
        var hash = 2166136261u;
        foreach (var c in word) hash = (hash ^ c) * 16777619u;
        return (int)((hash ^ hash >> 15) & (Places - 1));
    }
}
