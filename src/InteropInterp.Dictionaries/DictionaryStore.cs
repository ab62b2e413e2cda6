using InteropInterp.Models;

namespace InteropInterp.Dictionaries;

/// <summary>The dictionaries of this process, each loaded once however many clients use it, and gone with the last of them.</summary>
public sealed class DictionaryStore
{
    /// <summary>The store that everything in this process shares unless it makes its own.</summary>
    public static DictionaryStore Shared { get; } = new();

    private readonly SharedStore<DictionaryKey, SparseDictionary> dictionaries = new(dictionary => dictionary.Dispose());

    /// <summary>How many dictionaries are held.</summary>
    public int Count => dictionaries.Count;

    /// <summary>A share in the dictionary of a path; dispose it once.</summary>
    /// <exception cref="InterpException">As <see cref="DictionaryLoader.Load(string, DictionaryOptions?)"/>.</exception>
    public DictionaryShare Load(string path, DictionaryOptions? options = null)
    {
        options = (options ?? new DictionaryOptions()).Resolved();
        var files = DictionaryFiles.Find(path);
        return Take(new DictionaryKey(FileDigest.Of(files.All), options), () => DictionaryLoader.Load(files, options));
    }

    /// <summary>A share in a dictionary that came from nowhere else: just trained, just folded. The store takes it over.</summary>
    public DictionaryShare Add(SparseDictionary dictionary) =>
        Take(new DictionaryKey(Guid.NewGuid().ToString("N"), new DictionaryOptions()), () => dictionary);

    private DictionaryShare Take(DictionaryKey key, Func<SparseDictionary> load)
    {
        var (dictionary, leave) = dictionaries.Take(key, load);
        return new DictionaryShare(key.Digest, dictionary, leave);
    }

    private sealed record DictionaryKey(string Digest, DictionaryOptions Options);
}

/// <summary>One client's share in a loaded dictionary.</summary>
/// <param name="Digest">Of its files; a random name for a dictionary that has none.</param>
public sealed class DictionaryShare(string Digest, SparseDictionary dictionary, Action leave) : IDisposable
{
    private int done;

    public string Digest { get; } = Digest;

    /// <exception cref="InterpException">DICTIONARY_CLOSED.</exception>
    public SparseDictionary Dictionary => done == 0
        ? dictionary
        : throw InterpException.Precondition("DICTIONARY_CLOSED", "The dictionary was closed; load it again.");

    public void Dispose()
    {
        if (Interlocked.Exchange(ref done, 1) == 0) leave();
    }
}
