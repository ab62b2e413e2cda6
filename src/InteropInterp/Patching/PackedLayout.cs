using InteropInterp.Models;
using InteropInterp.Models.Forward;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// The tokens of many cells in one row [1, tokens, ...]: part after part, cell after cell. Everything but attention is one
/// product over all of them; a cell attends to the base run's keys and values where its own are not new.
/// </summary>
internal sealed class PackedLayout : ITokenLayout
{
    private readonly TransformerConfig config;
    private readonly IReadOnlyList<PackedPart> parts;
    private readonly SweepBase baseRun;

    /// <param name="parts">In the order of the tokens.</param>
    public PackedLayout(TransformerConfig config, IReadOnlyList<PackedPart> parts, SweepBase baseRun)
    {
        (this.config, this.parts, this.baseRun) = (config, parts, baseRun);
        Length = parts.Sum(p => p.Rows * p.Inputs);
        Positions = cat(
            [.. parts.Select(p => baseRun.Positions.expand(p.Group.Rows, -1).narrow(1, p.Group.Start, p.Inputs).repeat([p.Group.Cells.Count, 1]).flatten())],
            0).unsqueeze(0);
        if (!parts.All(p => p.QueriesEverywhere)) Queries = tensor(QueryTokens(), device: Positions.device);
    }

    public long Batch => 1;

    public long Length { get; }

    public Tensor Positions { get; }

    public Tensor? Queries { get; }

    public long LongestPosition => baseRun.LongestPosition;

    public Tensor? Present => null;

    public Tensor Attend(Tensor q, Tensor k, Tensor v, int layer, IActivationHooks hooks)
    {
        var results = new List<Tensor>();
        long token = 0, query = 0;
        foreach (var part in parts)
        {
            var (start, end) = (part.Group.Start, part.Group.Start + part.Group.Length);
            var (first, count) = part.Read is { } read ? (read, 1) : (start, part.Group.Length);
            var keys = Complete(Own(k, part, token, part.Inputs), IsWhole(part) ? null : baseRun.Keys(layer), part, 0);
            var values = Complete(Own(v, part, token, part.Inputs), IsWhole(part) ? null : baseRun.Values(layer), part, 0);
            var queries = Own(q, part, query, part.Queries);
            if (part.Inputs < part.Group.Length)
                queries = Complete(queries, baseRun.Queries(layer), part, start).narrow(2, first - start, count);
            var causal = config.IsCausal && first == 0 && count == end && baseRun.KeyMask is null && !(config.IsLocal(layer) && config.WindowSize < end);
            var z = AttentionKernel.Apply(config, queries, keys, values, () => Mask(part, layer, first, count, end), causal, layer, hooks);
            results.Add(z.transpose(1, 2).reshape(1, part.Rows * count, z.size(1), z.size(3)));
            token += part.Rows * part.Inputs;
            query += part.Rows * part.Queries;
        }
        return results.Count == 1 ? results[0] : cat(results, 1);
    }

    public void Finish()
    {
    }

    private static bool IsWhole(PackedPart part) => part.Group.Start == 0 && part.Inputs == part.Group.Length;

    // [cells · rows, heads, positions, d_head].
    private static Tensor Own(Tensor x, PackedPart part, long offset, int positions) =>
        x.narrow(1, offset, part.Rows * positions).view(part.Rows, positions, x.size(2), x.size(3)).transpose(1, 2);

    /// <summary>The base run's where a part has none of its own, from position <paramref name="from"/> on.</summary>
    /// <param name="whole">[rows, pos, heads, d_head]; null: nothing is missing.</param>
    private static Tensor Complete(Tensor own, Tensor? whole, PackedPart part, int from)
    {
        if (whole is null) return own;
        var (start, after) = (part.Group.Start, part.Group.Start + part.Inputs);
        var pieces = new List<Tensor>();
        if (start > from) pieces.Add(Of(from, start));
        pieces.Add(own);
        if (after < start + part.Group.Length) pieces.Add(Of(after, start + part.Group.Length));
        return cat(pieces, 2);

        Tensor Of(int begin, int end) => whole.narrow(1, begin, end - begin).transpose(1, 2).unsqueeze(0)
            .expand(part.Group.Cells.Count, -1, -1, -1, -1).reshape(own.size(0), own.size(1), end - begin, own.size(3));
    }

    // Who of some positions may attend to whom: [cells · rows or 1, 1, queries, pos]; null: all.
    private Tensor? Mask(PackedPart part, int layer, int first, int count, int end)
    {
        var mask = PrefixMask.Of(config, layer, first, count, end, baseRun.KeyMask, Positions.device);
        return mask is null || mask.size(0) == 1 ? mask : mask.repeat([part.Group.Cells.Count, 1, 1, 1]);
    }

    private long[] QueryTokens()
    {
        var tokens = new List<long>();
        long offset = 0;
        foreach (var part in parts)
        {
            for (long row = 0; row < part.Rows; row++, offset += part.Inputs)
            {
                if (!part.QueriesEverywhere) tokens.Add(offset + part.Read!.Value - part.Group.Start);
                else for (var i = 0; i < part.Inputs; i++) tokens.Add(offset + i);
            }
        }
        return [.. tokens];
    }
}
