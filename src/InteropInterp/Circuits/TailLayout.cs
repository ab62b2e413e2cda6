using InteropInterp.Hooks;
using InteropInterp.Models.Forward;
using InteropInterp.Patching;
using InteropInterp.Models;
using static TorchSharp.torch;

namespace InteropInterp.Circuits;

/// <summary>
/// Variants of the base run's rows, one behind the other, from a position on: what stands before it is the same in all of them,
/// and is attended to as the base run left it.
/// </summary>
/// <param name="start">The first position that may differ.</param>
internal sealed class TailLayout(TransformerConfig config, BaseRun baseRun, int variants, int start) : ITokenLayout
{
    private readonly long rows = baseRun.Final.size(0);
    private readonly int end = (int)baseRun.Final.size(1);

    public long Batch => variants * rows;

    public long Length => end - start;

    public Tensor Positions { get; } = baseRun.Positions.expand(baseRun.Final.size(0), -1)
        .narrow(1, start, baseRun.Final.size(1) - start).repeat([variants, 1]);

    public long LongestPosition => baseRun.LongestPosition;

    public Tensor? Present => baseRun.KeyMask?.narrow(1, start, end - start).repeat([variants, 1]);

    /// <summary>What must be kept of the base run for passes that begin at a layer.</summary>
    public static IEnumerable<HookPoint> Reads(TransformerConfig config, int firstLayer)
    {
        for (var layer = firstLayer; layer < config.LayerCount; layer++)
        {
            yield return new HookPoint(HookSite.ResidPre, layer);
            yield return new HookPoint(config.IsRotary ? HookSite.RotK : HookSite.K, layer);
            yield return new HookPoint(HookSite.V, layer);
        }
    }

    public Tensor Attend(Tensor q, Tensor k, Tensor v, int layer, IActivationHooks hooks)
    {
        if (start > 0)
        {
            k = WithPrefix(k, baseRun.Keys(layer));
            v = WithPrefix(v, baseRun.Values(layer));
        }
        var windowed = config.IsLocal(layer) && config.WindowSize < end;
        var causal = config.IsCausal && start == 0 && baseRun.KeyMask is null && !windowed;
        return AttentionKernel.Apply(config, q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), () =>
            Mask(layer), causal, layer, hooks).transpose(1, 2);
    }

    public void Finish()
    {
    }

    private Tensor WithPrefix(Tensor own, Tensor whole) => cat([whole.narrow(1, 0, start).repeat([variants, 1, 1, 1]), own], 1);

    private Tensor? Mask(int layer)
    {
        var mask = PrefixMask.Of(config, layer, start, end - start, end, baseRun.KeyMask, baseRun.Final.device);
        return mask is null || mask.size(0) == 1 ? mask : mask.repeat([variants, 1, 1, 1]);
    }
}
