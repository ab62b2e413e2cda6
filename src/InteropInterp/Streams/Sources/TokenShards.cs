using InteropInterp.Models;
using InteropInterp.Tensors;

namespace InteropInterp.Streams.Sources;

/// <summary>How token shards are read.</summary>
public sealed record TokenShardOptions
{
    /// <summary>Tokens in a row, its BOS included, where a shard is one run of tokens; a shard of rows keeps its own.</summary>
    public int RowLength { get; init; } = 1024;

    /// <summary>The BOS to put in front of every row; null: none.</summary>
    public int? Bos { get; init; }

    /// <summary>How numbers lie in files without a header (.bin, .u16): U16 as nanoGPT writes them, U32, I32, I64.</summary>
    public StorageType Raw { get; init; } = StorageType.U16;

    /// <summary>The tensor of a .safetensors file; null: its only one.</summary>
    public string? Tensor { get; init; }
}

/// <summary>
/// Files of token ids (.npy, .safetensors, raw little-endian), mapped into memory: any row is there at once. One run of tokens is
/// cut into rows, the rest of a shard making a shorter one; [rows, tokens] are rows already.
/// </summary>
public sealed class TokenShards : ITokenSource
{
    private readonly IReadOnlyList<string> paths;
    private readonly TokenShardOptions options;
    private readonly List<TokenShard> shards = [];

    // Of each shard: the tokens of a row, and the first row behind it.
    private readonly List<(int Length, long End)> places = [];

    /// <exception cref="InterpException">NO_FILES, FILE_NOT_FOUND, ROW_LENGTH_TOO_SMALL, NO_ROWS; TOKEN_SHARD_TYPE, TOKEN_SHARD_SHAPE,
    /// TOKEN_SHARD_CUT_OFF, NPY_INVALID, SAFETENSORS_*, UNKNOWN_TENSOR.</exception>
    public TokenShards(IReadOnlyList<string> paths, TokenShardOptions? options = null)
    {
        (this.paths, this.options) = (paths, options ?? new TokenShardOptions());
        StreamFiles.Require(paths);
        var length = this.options.RowLength - Prefix;
        InterpException.Require(length > 0, "ROW_LENGTH_TOO_SMALL", $"Rows of {this.options.RowLength} tokens have no room for text.");
        try
        {
            var rows = 0L;
            foreach (var path in paths)
            {
                var shard = TokenShard.Open(path, this.options.Raw, this.options.Tensor);
                shards.Add(shard);
                var width = (int?)shard.Width ?? length;
                rows += (shard.Count + width - 1) / width;
                places.Add((width, rows));
            }
            InterpException.Require(rows > 0, "NO_ROWS", $"The {paths.Count} token files hold 0 tokens.");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string Identity => $"shards {FileDigest.Of(paths)} {options.Raw} '{options.Tensor}' rows of {options.RowLength}, BOS {options.Bos}";

    public int RowLength => places.Max(place => place.Length) + Prefix;

    public long? RowCount => places[^1].End;

    private int Prefix => options.Bos is null ? 0 : 1;

    public IEnumerable<int[]> Rows(long from)
    {
        for (var s = 0; s < shards.Count; s++)
        {
            var (length, end) = places[s];
            var begin = s == 0 ? 0 : places[s - 1].End;
            for (var row = Math.Max(from, begin); row < end; row++)
            {
                var first = (row - begin) * length;
                var tokens = new int[Prefix + (int)Math.Min(length, shards[s].Count - first)];
                if (options.Bos is { } bos) tokens[0] = bos;
                shards[s].Read(first, tokens.AsSpan(Prefix));
                yield return tokens;
            }
        }
    }

    public void Dispose()
    {
        foreach (var shard in shards) shard.Dispose();
    }
}
