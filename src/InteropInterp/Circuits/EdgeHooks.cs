using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Circuits;

/// <summary>
/// The hooks of a pass over several circuits: what each receiver reads is the residual stream plus, for every edge that is left
/// out, (ablated - own) output of the sender; one product per layer and kind of receiver. Nothing per edge is kept.
/// </summary>
internal sealed class EdgeHooks : IActivationHooks
{
    private readonly TransformerModel model;
    private readonly ResidualGraph graph;
    private readonly Func<HookPoint, Tensor> ablated;
    private readonly Tensor missing, changes;
    private readonly bool[] isMissing;
    private readonly int circuits;

    /// <param name="ablated">[rows, pos, ...] of each sender's point.</param>
    /// <param name="baseRun">Likewise: what senders of earlier layers write.</param>
    /// <param name="firstLayer">Where the pass begins.</param>
    public EdgeHooks(
        TransformerModel model, ResidualGraph graph, Circuit[] circuits, Func<HookPoint, Tensor> ablated, Func<HookPoint, Tensor> baseRun,
            int firstLayer)
    {
        (this.model, this.graph, this.ablated, this.circuits) = (model, graph, ablated, circuits.Length);
        int senders = graph.Senders.Count, receivers = graph.Receivers.Count;
        isMissing = new bool[receivers];
        var flags = new bool[(long)circuits.Length * receivers * senders];
        for (var c = 0; c < circuits.Length; c++)
            for (var r = 0; r < receivers; r++)
                for (var s = 0; s < graph.Reaching(r); s++)
                    if (!circuits[c].Contains(s, r)) isMissing[r] = flags[((long)c * receivers + r) * senders + s] = true;
        missing = tensor(flags, [circuits.Length, receivers, senders], device: model.Device).to(model.DataType);
        var size = baseRun(Sender.Input.Point).numel();
        changes = empty([circuits.Length, senders, size], model.DataType, model.Device);
        foreach (var group in graph.Senders.GroupBy(s => s.Point))
            if (group.First() == Sender.Input || group.Key.Layer < firstLayer)
                Rows(group.Key).copy_(Written(group.Key, ablated(group.Key) - baseRun(group.Key), 1));
    }

    public bool Wants(HookSite site, int layer) => site is HookSite.Z or HookSite.MlpOut or HookSite.QInput or HookSite.KInput or HookSite.VInput
        or HookSite.MlpIn or HookSite.ResidPost;

    public Tensor At(HookSite site, int layer, Tensor value, bool isShared = false)
    {
        switch (site)
        {
            case HookSite.Z or HookSite.MlpOut:
                var point = new HookPoint(site, layer);
                Rows(point).copy_(Written(point, ablated(point).repeat([circuits, .. Enumerable.Repeat(1L, (int)value.dim() - 1)]) - value,
                    circuits));
                return value;
            case HookSite.QInput: return Read(value, Receiver.Query(layer, 0), model.Config.HeadCount);
            case HookSite.KInput: return Read(value, Receiver.Key(layer, 0), model.Config.KeyHeads);
            case HookSite.VInput: return Read(value, Receiver.Value(layer, 0), model.Config.KeyHeads);
            case HookSite.MlpIn: return Read(value, Receiver.Mlp(layer), 1);
            case HookSite.ResidPost when layer == model.Config.LayerCount - 1: return Read(value, Receiver.Logits, 1);
            default: return value;
        }
    }

    /// <param name="value">[circuits · rows, pos, (heads), d_model].</param>
    /// <param name="first">The first of <paramref name="count"/> receivers that read there.</param>
    private Tensor Read(Tensor value, Receiver first, int count)
    {
        var receiver = graph.IndexOf(first);
        if (!isMissing.AsSpan(receiver, count).Contains(true)) return value;
        var reaching = graph.Reaching(receiver);
        // [circuits, receivers, senders] · [circuits, senders, rows · pos · d_model].
        var change = missing.narrow(1, receiver, count).narrow(2, 0, reaching).bmm(changes.narrow(1, 0, reaching));
        long pos = value.size(1), width = model.Config.ModelWidth;
        var shaped = change.view(circuits, count, -1, pos, width).permute(0, 2, 3, 1, 4);
        return value.Plus(shaped.reshape(value.shape));
    }

    private Tensor Rows(HookPoint point)
    {
        var senders = graph.Senders.Index().Where(s => s.Item.Point == point).ToList();
        return changes.narrow(1, senders[0].Index, senders.Count);
    }

    // [variants · rows, pos, ...] -> [variants, senders, rows · pos · d_model].
    private Tensor Written(HookPoint point, Tensor difference, int variants)
    {
        if (point.Site != HookSite.Z) return difference.reshape(variants, 1, -1);
        var config = model.Config;
        // Each head through its own rows of W_O: [heads, d_head, d_model].
        var matrices = model.Weights.Blocks[point.Layer].Attention.Output.view(config.ModelWidth, config.HeadCount,
            config.HeadWidth).permute(1, 2, 0);
        var each = difference.permute(2, 0, 1, 3).flatten(1, 2).bmm(matrices);
        return each.view(config.HeadCount, variants, -1).transpose(0, 1);
    }
}
