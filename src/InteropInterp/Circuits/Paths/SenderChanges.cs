using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Paths;

/// <summary>
/// How sets of patched senders change the residual stream, all else frozen: the sum of the changes of what they write, and, where MLPs
/// between are recomputed, of what those make of it. All sets go up through the layers together, and what receivers read is kept on the way.
/// </summary>
/// <param name="source">The source run's activations by point, each where a sender stands.</param>
/// <param name="start">The first position that may differ; what is given holds positions from there on.</param>
/// <param name="positions">[pos - start, 1] of the compute type: 1 where senders are patched, else 0; null: everywhere.</param>
internal sealed class SenderChanges(
    TransformerModel model, PathPatch patch, BaseRun baseRun, Func<HookPoint, Tensor> source, int start, Tensor? positions)
{
    private readonly TransformerConfig config = model.Config;

    private bool RecomputesMlps => !patch.FreezeMlps && !config.AttentionOnly;

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

    /// <summary>The changes at times (<see cref="Receiver.ReadAt"/>): each [sets, rows, pos - start, d_model], zeros where nothing arrives.</summary>
    public IReadOnlyDictionary<int, Tensor> At(IReadOnlyList<IReadOnlyList<Sender>> sets, IReadOnlySet<int> times)
    {
        var kept = new Dictionary<int, Tensor>();
        var end = times.Max();
        var change = zeros([sets.Count, .. From(baseRun.Final).shape], model.DataType, model.Device);
        var isReached = new bool[sets.Count];
        for (var layer = 0; ; layer++)
        {
            using var scope = NewDisposeScope();
            // A stream that is replaced forgets what came before.
            foreach (var (set, written) in Written(sets, layer, SenderKind.Input, SenderKind.ResidPre)) Put(set, written, isReplaced: true);
            if (Kept(2 * layer)) return kept;
            // In parallel blocks the MLP reads what attention reads.
            var made = config.ParallelBlocks ? Processed(change, isReached, sets, layer) : null;
            foreach (var (set, written) in Written(sets, layer, SenderKind.Head)) Put(set, written);
            if (!config.ParallelBlocks)
            {
                if (Kept(2 * layer + 1)) return kept;
                made = Processed(change, isReached, sets, layer);
            }
            if (made is var (reached, output)) change.index_add_(0, reached, output, Scalars.One);
            foreach (var (set, written) in Written(sets, layer, SenderKind.Mlp)) Put(set, written);
        }

        void Put(int set, Tensor written, bool isReplaced = false)
        {
            var own = change.select(0, set);
            if (isReplaced) own.copy_(written);
            else own.PlusInPlace(written);
            isReached[set] = true;
        }

        // Keeps what is read now; true where nothing is read later.
        bool Kept(int time)
        {
            if (times.Contains(time)) kept[time] = change.clone().MoveToOuterDisposeScope();
            return time >= end;
        }
    }

    // What an MLP makes of the changes of its input, for the sets that have one and do not patch it: [reached, rows, pos, d_model].
    private (Tensor Reached, Tensor Made)? Processed(Tensor change, bool[] isReached, IReadOnlyList<IReadOnlyList<Sender>> sets, int layer)
    {
        if (!RecomputesMlps) return null;
        var patched = Sender.Mlp(layer);
        long[] chosen = [.. Enumerable.Range(0, sets.Count).Where(i => isReached[i] && !sets[i].Contains(patched)).Select(i => (long)i)];
        if (chosen.Length == 0) return null;
        var reached = tensor(chosen, device: model.Device);
        var stream = From(baseRun[Receiver.Mlp(layer).Stream(config)]);
        IActivationHooks hooks = patch.FreezeNorms && config.HasNorm
            ? new FrozenScale(HookSite.Ln2Scale, FrozenScale.Of(model, stream).repeat([chosen.Length, 1, 1])) : NoHooks.Instance;
        var input = change.index_select(0, reached).PlusInPlace(stream.unsqueeze(0)).flatten(0, 1);
        var output = new MlpBlock(model, hooks).Apply(input, model.Weights.Blocks[layer], layer).reshape(chosen.Length, stream.size(0), stream.size(1), -1);
        return (reached, output - From(baseRun[new HookPoint(HookSite.MlpOut, layer)]));
    }

    // What those of a layer write, set by set.
    private List<(int Set, Tensor Written)> Written(IReadOnlyList<IReadOnlyList<Sender>> sets, int layer, params ReadOnlySpan<SenderKind> kinds)
    {
        var result = new List<(int, Tensor)>();
        for (var i = 0; i < sets.Count; i++)
        {
            var chosen = new List<Sender>();
            foreach (var sender in sets[i])
                if (sender.Layer == layer && kinds.Contains(sender.Kind)) chosen.Add(sender);
            if (chosen.Count > 0) result.Add((i, Written(chosen)));
        }
        return result;
    }

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
