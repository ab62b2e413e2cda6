using InteropInterp.Tensors;

namespace InteropInterp.Tokens.Models;

/// <summary>Which two tokens merge into which, and how early: lower ranks first.</summary>
internal sealed class MergeTable
{
    private readonly Dictionary<long, (int Rank, int Id)> merges;

    private MergeTable(Dictionary<long, (int Rank, int Id)> merges) => this.merges = merges;

    public int Count => merges.Count;

    public IEnumerable<(int Left, int Right)> Pairs => merges.Keys.Select(key => ((int)(key >> 32), (int)key));

    public bool TryGet(int left, int right, out int rank, out int id)
    {
        var found = merges.TryGetValue(Key(left, right), out var merge);
        (rank, id) = merge;
        return found;
    }

    /// <summary>The merges of a file, the earliest first.</summary>
    /// <param name="prefix">What continuing tokens begin with ("##"); it is dropped from the right part.</param>
    /// <exception cref="InterpException">MERGE_TOKEN_ABSENT.</exception>
    public static MergeTable FromPairs(IEnumerable<(string Left, string Right)> pairs, Vocabulary vocabulary, string prefix, string source)
    {
        var merges = new Dictionary<long, (int, int)>();
        var rank = 0;
        foreach (var (left, right) in pairs)
        {
            var joined = right.StartsWith(prefix, StringComparison.Ordinal) ? left + right[prefix.Length..] : left + right;
            merges[Key(Id(left), Id(right))] = (rank, Id(joined));
            rank++;

            int Id(string token) => vocabulary.IdOf(token) ?? throw InterpException.DataLoss("MERGE_TOKEN_ABSENT",
                $"'{source}': merge {rank} joins {Quoted.Name(left)} and {Quoted.Name(right)}, " +
                $"but {Quoted.Name(token)} is not in the vocabulary.");
        }
        return new(merges);
    }

    /// <summary>
    /// SentencePiece has no list of merges: any two tokens merge whose text together is a token, that of the highest score
    /// first. Source: src/bpe_model.cc of google/sentencepiece.
    /// </summary>
    /// <param name="pieces">The tokens that take part, with their scores.</param>
    public static MergeTable FromScores(IReadOnlyList<(string Token, float Score)> pieces, Vocabulary vocabulary)
    {
        var merges = new Dictionary<long, (int, int)>();
        var parts = pieces.Select(piece => piece.Token).ToHashSet(StringComparer.Ordinal).GetAlternateLookup<ReadOnlySpan<char>>();
        var rank = -1;
        float? score = null;
        foreach (var piece in pieces.OrderByDescending(piece => piece.Score))
        {
            // Equal scores are equal ranks: the leftmost pair then goes first.
            if (score != piece.Score) rank++;
            score = piece.Score;
            for (var cut = 1; cut < piece.Token.Length; cut++)
            {
                var left = piece.Token.AsSpan(0, cut);
                var right = piece.Token.AsSpan(cut);
                if (!parts.Contains(left) || !parts.Contains(right)) continue;
                if (vocabulary.TryGetId(left, out var leftId) && vocabulary.TryGetId(right, out var rightId))
                    merges[Key(leftId, rightId)] = (rank, vocabulary.IdOf(piece.Token)!.Value);
            }
        }
        return new(merges);
    }

    private static long Key(int left, int right) => (long)left << 32 | (uint)right;
}
