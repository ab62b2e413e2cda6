using InteropInterp.Models;
using InteropInterp.Models.Forward;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// The tokens of many cells in one row [1, tokens, ...]: group after group, cell after cell. Everything but attention is one
/// product over all of them; a cell attends to the base run's keys and values before its start and to its own from there on.
/// </summary>
/// <param name="groups">Those that hold cells, in the order of the tokens.</param>
/// <param name="keysAndValues">The base run's of a layer: [rows, pos, key heads, d_head] each, keys rotated.</param>
/// <param name="rowPositions">[rows or 1, pos] int64 of the base run.</param>
/// <param name="keyMask">[rows, pos] booleans of the base run, false at padding; null where there is none.</param>
internal sealed class PackedLayout(
    TransformerConfig config, IReadOnlyList<PackedGroup> groups, Func<int, (Tensor Keys, Tensor Values)> keysAndValues,
    Tensor rowPositions, Tensor? keyMask, long longestPosition) : ITokenLayout
{
    public long Batch => 1;

    public long Length { get; } = groups.Sum(g => g.Tokens);

    public Tensor Positions { get; } = cat(
        [.. groups.Select(g => rowPositions.expand(g.Rows, -1).narrow(1, g.Start, g.Length).repeat([g.Cells.Count, 1]).flatten())], 0).unsqueeze(0);

    public long LongestPosition => longestPosition;

    public Tensor? Present => null;

    public Tensor Attend(Tensor q, Tensor k, Tensor v, int layer, IActivationHooks hooks)
    {
        var (baseKeys, baseValues) = groups.Any(g => g.Start > 0) ? keysAndValues(layer) : (null!, null!);
        var results = new List<Tensor>();
        long offset = 0;
        foreach (var group in groups)
        {
            long rows = (long)group.Cells.Count * group.Rows, at = offset;
            // [cells · rows, heads, positions, d_head].
            Tensor Own(Tensor x) => x.narrow(1, at, group.Tokens).view(rows, group.Length, x.size(2), x.size(3)).transpose(1, 2);
            var keys = WithPrefix(Own(k), baseKeys, group);
            var values = WithPrefix(Own(v), baseValues, group);
            var causal = config.IsCausal && group.Start == 0 && keyMask is null && !IsWindowed(layer, group);
            var z = AttentionKernel.Apply(config, Own(q), keys, values, () => Mask(group, layer, group.Length), causal, layer, hooks);
            results.Add(z.transpose(1, 2).reshape(1, group.Tokens, z.size(1), z.size(3)));
            offset += group.Tokens;
        }
        return results.Count == 1 ? results[0] : cat(results, 1);
    }

    public void Finish()
    {
    }

    /// <summary>Who of the first <paramref name="queries"/> positions of a group may attend to whom: [cells · rows or 1, 1, queries, pos]; null: all.</summary>
    private Tensor? Mask(PackedGroup group, int layer, int queries)
    {
        var mask = PrefixMask.Of(config, layer, group.Start, queries, group.Start + group.Length, keyMask, rowPositions.device);
        return mask is null || mask.size(0) == 1 ? mask : mask.repeat([group.Cells.Count, 1, 1, 1]);
    }

    private bool IsWindowed(int layer, PackedGroup group) => config.IsLocal(layer) && config.WindowSize < group.Start + group.Length;

    private static Tensor WithPrefix(Tensor own, Tensor baseRun, PackedGroup group)
    {
        if (group.Start == 0) return own;
        // [rows, pos, heads, d] -> the same prefix for every cell.
        var prefix = baseRun.narrow(1, 0, group.Start).transpose(1, 2).unsqueeze(0)
            .expand(group.Cells.Count, -1, -1, -1, -1).reshape(own.size(0), own.size(1), group.Start, own.size(3));
        return cat([prefix, own], 2);
    }
}
