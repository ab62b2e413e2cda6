using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Paths;

/// <summary>
/// How patched senders change what a receiver reads, all else frozen: the sum of the changes of what they write, and, where MLPs
/// between are recomputed, of what those make of it.
/// </summary>
/// <param name="source">The source run's activations by point, each where a sender stands.</param>
/// <param name="start">The first position that may differ; what is given holds positions from there on.</param>
/// <param name="positions">[pos - start, 1] of the compute type: 1 where senders are patched, else 0; null: everywhere.</param>
internal sealed class SenderChanges(
    TransformerModel model, PathPatch patch, BaseRun baseRun, Func<HookPoint, Tensor> source, int start, Tensor? positions)
{
    private readonly TransformerConfig config = model.Config;

    /// <summary>What must be kept of the base run.</summary>
    public static IEnumerable<HookPoint> Reads(TransformerConfig config, PathPatch patch)
    {
        foreach (var sender in patch.Senders.SelectMany(s => s)) yield return sender.Point;
        if (patch.FreezeMlps || config.AttentionOnly) yield break;
        for (var layer = 0; layer < config.LayerCount; layer++)
        {
            yield return Receiver.Mlp(layer).Stream(config);
            yield return new HookPoint(HookSite.MlpOut, layer);
        }
    }

    /// <summary>The change of a receiver's input: [rows, pos - start, d_model]; null where nothing reaches it.</summary>
    public Tensor? Of(IReadOnlyList<Sender> senders, Receiver receiver) =>
        patch.FreezeMlps || config.AttentionOnly ? Direct(senders, receiver) : ThroughMlps(senders, receiver.ReadAt(config));

    private Tensor? Direct(IReadOnlyList<Sender> senders, Receiver receiver)
    {
        var reaching = senders.Where(s => s.Reaches(receiver, config)).ToList();
        return reaching.Count == 0 ? null : Written(reaching);
    }

    private Tensor? ThroughMlps(IReadOnlyList<Sender> senders, int end)
    {
        Tensor? change = null;
        for (var layer = 0; ; layer++)
        {
            // A stream that is replaced forgets what came before.
            change = Written(senders, layer, SenderKind.Input, SenderKind.ResidPre) ?? change;
            if (end == 2 * layer) return change;
            var attended = Sum(change, Written(senders, layer, SenderKind.Head));
            if (end == 2 * layer + 1) return attended;
            var read = config.ParallelBlocks ? change : attended;
            change = Sum(attended, Written(senders, layer, SenderKind.Mlp) ?? (read is null ? null : Processed(layer, read)));
        }
    }

    // What an MLP makes of a change of its input.
    private Tensor Processed(int layer, Tensor change)
    {
        var stream = From(baseRun[Receiver.Mlp(layer).Stream(config)]);
        IActivationHooks hooks = patch.FreezeNorms && config.HasNorm ? new FrozenScale(HookSite.Ln2Scale, FrozenScale.Of(model, stream))
            : NoHooks.Instance;
        return new MlpBlock(model, hooks).Apply(stream.Plus(change), model.Weights.Blocks[layer],
            layer) - From(baseRun[new HookPoint(HookSite.MlpOut, layer)]);
    }

    private Tensor? Written(IReadOnlyList<Sender> senders, int layer, params ReadOnlySpan<SenderKind> kinds)
    {
        var chosen = new List<Sender>();
        foreach (var sender in senders)
            if (sender.Layer == layer && kinds.Contains(sender.Kind)) chosen.Add(sender);
        return chosen.Count == 0 ? null : Written(chosen);
    }

    private static Tensor? Sum(Tensor? a, Tensor? b) => a is null ? b : b is null ? a : a.Plus(b);

    private Tensor Written(List<Sender> senders)
    {
        Tensor? sum = null;
        foreach (var group in senders.Distinct().GroupBy(s => s.Point))
        {
            var difference = From(source(group.Key)) - From(baseRun[group.Key]);
            if (group.Key.Site == HookSite.Z) difference = Output(difference, group.Key.Layer, [.. group.Select(s => s.Index)]);
            sum = sum?.Plus(difference) ?? difference;
        }
        return positions is null ? sum! : sum! * positions;
    }

    // [rows, pos, heads, d_head] of the chosen heads through their rows of W_O.
    private Tensor Output(Tensor z, int layer, int[] heads)
    {
        var index = tensor(heads.Select(h => (long)h).ToArray(), device: z.device);
        var matrices = model.Weights.Blocks[layer].Attention.Output.view(config.ModelWidth, config.HeadCount,
            config.HeadWidth).index_select(1, index);
        return z.index_select(2, index).flatten(2).MatMul(matrices.flatten(1).t());
    }

    private Tensor From(Tensor whole) => whole.narrow(1, start, whole.size(1) - start);
}
