using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Heads;

/// <summary>The attention pattern of one head on one row.</summary>
/// <param name="Values">[query · length + key].</param>
public sealed record HeadPattern(int Layer, int Head, IReadOnlyList<float> Values)
{
    /// <summary>The patterns of some heads, in the order they are named.</summary>
    public static IReadOnlyList<HeadPattern> Of(
        HookedTransformer model, Row row, IReadOnlyList<(int Layer, int Head)> heads, CancellationToken cancellation = default)
    {
        var byLayer = heads.GroupBy(h => h.Layer).ToDictionary(g => g.Key, g => g.Select(h => h.Head).Distinct().ToList());
        using var run = model.Run(new Plan
        {
            Rows = [row],
            Captures = [.. byLayer.Select(l => new Capture(Point(l.Key)) { Where = new Selector { Heads = Positions.At(l.Value) } })],
        }, cancellation);
        using var scope = NewDisposeScope();
        float[] Values(int layer, int head) =>
            run[Point(layer)][0, byLayer[layer].IndexOf(head)].to(ScalarType.Float32).cpu().contiguous().data<float>().ToArray();
        return [.. heads.Select(h => new HeadPattern(h.Layer, h.Head, Values(h.Layer, h.Head)))];
    }

    private static string Point(int layer) => $"blocks.{layer}.attn.hook_pattern";
}
