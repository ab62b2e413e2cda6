using InteropInterp.Tensors;

namespace InteropInterp.Tokens;

/// <summary>Tokens and their ids, both ways; added tokens come before the model's own.</summary>
internal sealed class Vocabulary
{
    /// <summary>No tokenizer has as many; a larger id is a broken file.</summary>
    public const int MaxId = 1 << 24;

    private readonly Dictionary<string, int> ids;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> idsBySpan;
    private readonly string?[] tokens;

    private Vocabulary(Dictionary<string, int> ids, string?[] tokens)
    {
        this.ids = ids;
        this.tokens = tokens;
        idsBySpan = ids.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>The largest id plus one.</summary>
    public int Size => tokens.Length;

    /// <summary>The tokens of a model.</summary>
    /// <param name="source">The file's name, for errors.</param>
    /// <exception cref="InterpException">TOKEN_DUPLICATE, TOKEN_ID_DUPLICATE, TOKEN_ID_OUT_OF_RANGE.</exception>
    public static Vocabulary Create(IEnumerable<KeyValuePair<string, int>> entries, string source)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        var size = 0;
        foreach (var (token, id) in entries)
        {
            if (id is < 0 or >= MaxId)
                throw InterpException.DataLoss("TOKEN_ID_OUT_OF_RANGE",
                    $"'{source}': token {Quoted.Name(token)} has id {id}, which is not in 0..{MaxId - 1}.");
            if (!ids.TryAdd(token, id))
                throw InterpException.DataLoss("TOKEN_DUPLICATE",
                    $"'{source}': token {Quoted.Name(token)} has two ids, {ids[token]} and {id}.");
            size = Math.Max(size, id + 1);
        }
        var tokens = new string?[size];
        foreach (var (token, id) in ids)
        {
            if (tokens[id] is { } other)
                throw InterpException.DataLoss("TOKEN_ID_DUPLICATE",
                    $"'{source}': tokens {Quoted.Name(other)} and {Quoted.Name(token)} have the same id {id}.");
            tokens[id] = token;
        }
        return new(ids, tokens);
    }

    /// <summary>This vocabulary with tokens added, which may take the id of a token that is there.</summary>
    /// <param name="added">The content by which a token is asked for, its id, and the text that it decodes to.</param>
    public Vocabulary With(IReadOnlyCollection<(string Content, int Id, string Text)> added)
    {
        var newIds = new Dictionary<string, int>(ids, StringComparer.Ordinal);
        var newTokens = new string?[added.Select(token => token.Id + 1).Append(tokens.Length).Max()];
        tokens.CopyTo(newTokens, 0);
        foreach (var (content, id, text) in added)
        {
            newIds[content] = id;
            newTokens[id] = text;
        }
        return new(newIds, newTokens);
    }

    public bool TryGetId(ReadOnlySpan<char> token, out int id) => idsBySpan.TryGetValue(token, out id);

    public int? IdOf(string token) => ids.TryGetValue(token, out var id) ? id : null;

    public string? TokenOf(int id) => (uint)id < (uint)tokens.Length ? tokens[id] : null;

    public IEnumerable<KeyValuePair<string, int>> Entries => ids;
}
