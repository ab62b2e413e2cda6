using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Randomness;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>
/// x + Gaussian noise. Draws are keyed by (seed, point, row of the plan, place in the row's region): the same whatever rows share a batch.
/// </summary>
/// <param name="Deviation">The noise's standard deviation, in the unit of <paramref name="OfEmbeddings"/>.</param>
/// <param name="OfEmbeddings">
/// In standard deviations of the entries of W_E (Meng et al. 2022, ROME, corrupts subjects' embeddings with 3); else in activation units.
/// </param>
public sealed record NoiseOp(double Deviation, bool OfEmbeddings = true) : InterventionOp
{
    /// <summary>Null: the plan's.</summary>
    public ulong? Seed { get; init; }

    public override string Name => "noise";

    /// <exception cref="InterpException">INVALID_NOISE.</exception>
    public override InterventionOp Bound(TransformerModel model)
    {
        InterpException.Require(double.IsFinite(Deviation) && Deviation > 0, "INVALID_NOISE", $"The noise's standard deviation is {Deviation}; it must be above 0.");
        return OfEmbeddings ? this with { Deviation = Deviation * EmbeddingSpread.Of(model), OfEmbeddings = false } : this;
    }

    public override Tensor Apply(Tensor region, OpInput input)
    {
        var perRow = region.numel() / region.size(0);
        var noise = new float[region.numel()];
        for (var i = 0; i < input.Rows.Count; i++)
        {
            var draws = new CounterNormals(Seed ?? input.Seed, input.Rows[i], Stream(input.Point, input.Step));
            draws.Fill(noise.AsSpan((int)(i * perRow), (int)perRow));
        }
        return region.Plus(tensor(noise, region.shape, region.dtype, region.device).Times(Deviation));
    }

    private static ulong Stream(HookPoint point, int step) => (ulong)point.Site << 56 | (ulong)(point.Layer + 1) << 44 | (ulong)(ushort)step << 28;
}
