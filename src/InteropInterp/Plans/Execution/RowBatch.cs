using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Execution;

/// <summary>Some rows of a plan as tensors, padded to the length of the plan's longest row. Lives in the current scope.</summary>
internal sealed class RowBatch
{
    /// <param name="rows">Rows of the plan.</param>
    /// <param name="padLeft">On which side shorter rows are padded.</param>
    public RowBatch(CheckedPlan plan, IReadOnlyList<int> rows, bool padLeft, Device device)
    {
        var length = plan.Length;
        var given = plan.Plan.Rows;
        var lengths = rows.Select(r => given.Count > 0 ? given[r].Length : length).ToList();
        Geometry = new BatchGeometry(rows, length, 0, [.. lengths.Select(n => padLeft ? length - n : 0)], lengths, 0);
        if (given.Count == 0) return;

        var ids = new long[rows.Count * (long)length];
        var real = new bool[ids.Length];
        for (var i = 0; i < rows.Count; i++)
        {
            var row = given[rows[i]];
            var start = i * length + Geometry.Offsets[i];
            for (var p = 0; p < row.Length; p++)
            {
                ids[start + p] = row.Tokens[p];
                real[start + p] = row.Mask?[p] ?? true;
            }
            HasMask |= row.Mask is { } mask && mask.Contains(false);
        }
        IsPadded = lengths.Any(n => n != length);
        Tokens = tensor(ids, [rows.Count, length], device: device);
        if (IsPadded || HasMask) Mask = tensor(real, [rows.Count, length], device: device);
        PadsInFront = padLeft && IsPadded;
    }

    public BatchGeometry Geometry { get; }

    /// <summary>[rows, pos] int64; null where the run starts from a residual stream without tokens.</summary>
    public Tensor? Tokens { get; }

    /// <summary>[rows, pos] booleans, false at padding; null where there is none.</summary>
    public Tensor? Mask { get; }

    private bool IsPadded { get; }
    private bool HasMask { get; }
    private bool PadsInFront { get; }

    public MetricRows MetricRows => new(Geometry.Rows, Tokens, Mask);

    /// <summary>What attention must be told: padding behind a causal row is in nobody's past and needs no mask.</summary>
    public Tensor? AttentionMask(TransformerConfig config) => HasMask || PadsInFront || !config.IsCausal ? Mask : null;

    public RectangularLayout Layout(TransformerConfig config, KeyValueCache? cache, Device device) =>
        new(config, Geometry.Rows.Count, Geometry.Length, AttentionMask(config), cache, device);

    /// <summary>Of each row the position at <paramref name="index"/> (negative: from its end), where it stands in the batch.</summary>
    public long[] Position(int index) => [.. Geometry.Offsets.Select((offset, i) => (long)offset + (index < 0 ? index + Geometry.Lengths[i] : index))];
}
