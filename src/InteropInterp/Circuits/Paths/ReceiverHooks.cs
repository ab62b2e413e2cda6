using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Paths;

/// <summary>
/// The hooks of a pass over many cells in which each cell's receivers read inputs of their own. Only the heads that are touched
/// get queries, keys or values of their own.
/// </summary>
/// <param name="cells">Each cell's receivers with their inputs [rows, pos, d_model].</param>
/// <param name="streams">The base run's stream that a receiver reads [rows, pos, d_model].</param>
/// <param name="held">Where inputs are held, as positions of what the pass holds.</param>
/// <param name="rowPositions">The positions as [rows or 1, pos] int64, for models that add their embedding to queries and keys.</param>
internal sealed class ReceiverHooks(
    TransformerModel model, IReadOnlyList<IReadOnlyList<(Receiver Receiver, Tensor Input)>> cells, Func<Receiver, Tensor> streams,
    Tensor held, Tensor rowPositions, bool freezeNorms) : IActivationHooks
{
    private readonly TransformerConfig config = model.Config;
    private readonly ILookup<HookPoint, (int Cell, Receiver Receiver, Tensor Input)> targets = cells
        .SelectMany((cell, i) => cell.Select(x => (Cell: i, x.Receiver, x.Input)))
        .ToLookup(x => new HookPoint(SiteOf(x.Receiver.Kind), x.Receiver.Layer));

    public bool Wants(HookSite site, int layer) => targets.Contains(new HookPoint(site, layer)) || FreezesMlpNorm(site, layer);

    public Tensor At(HookSite site, int layer, Tensor value, bool isShared = false)
    {
        if (FreezesMlpNorm(site, layer))
        {
            var hit = targets[new HookPoint(HookSite.MlpIn, layer)].ToList();
            var scale = FrozenScale.Of(model, streams(hit[0].Receiver));
            return Put(value, hit, scale.unsqueeze(0).expand(hit.Count, -1, -1, -1));
        }
        var found = targets[new HookPoint(site, layer)].ToList();
        if (found.Count == 0) return value;
        var inputs = stack([.. found.Select(x => x.Input)]);
        return Put(value, found, site == HookSite.MlpIn ? inputs : Projected(inputs, found, layer));
    }

    private static HookSite SiteOf(ReceiverKind kind) => kind switch
    {
        ReceiverKind.Query => HookSite.Q,
        ReceiverKind.Key => HookSite.K,
        ReceiverKind.Value => HookSite.V,
        ReceiverKind.Mlp => HookSite.MlpIn,
        _ => HookSite.UnembedIn,
    };

    private bool FreezesMlpNorm(HookSite site, int layer) =>
        freezeNorms && site == HookSite.Ln2Scale && config.HasNorm && targets.Contains(new HookPoint(HookSite.MlpIn, layer));

    // Each input through its own head's matrix: [count, rows, pos, d_model] -> [count, rows, pos, d_head].
    private Tensor Projected(Tensor inputs, List<(int Cell, Receiver Receiver, Tensor Input)> found, int layer)
    {
        var block = model.Weights.Blocks[layer];
        var kind = found[0].Receiver.Kind;
        if (config.HasNorm)
        {
            IActivationHooks hooks = freezeNorms ? new FrozenScale(HookSite.Ln1Scale, FrozenScale.Of(model, streams(found[0].Receiver)))
                : NoHooks.Instance;
            inputs = model.Norm.Apply(inputs, block.Ln1, hooks, HookSite.Ln1Scale, HookSite.Ln1Normalized, layer);
        }
        if (config.IsShortformer && kind != ReceiverKind.Value)
            inputs = inputs.Plus(model.Weights.Positions!.index_select(0, rowPositions.flatten()).view(rowPositions.size(0),
                rowPositions.size(1), -1));
        var first = kind switch { ReceiverKind.Query => 0, ReceiverKind.Key => config.HeadCount, _ => config.HeadCount + config.KeyHeads };
        var heads = tensor(found.Select(x => (long)(first + x.Receiver.Index)).ToArray(), device: inputs.device);
        var matrices = block.Attention.Qkv.view(-1, config.HeadWidth, config.ModelWidth).index_select(0, heads).transpose(1, 2);
        var product = inputs.flatten(1, 2).bmm(matrices);
        if (block.Attention.QkvBias is { } bias) product = product.Plus(bias.view(-1, config.HeadWidth).index_select(0,
            heads).unsqueeze(1));
        return product.view(found.Count, inputs.size(1), inputs.size(2), config.HeadWidth);
    }

    /// <param name="value">[cells · rows, pos, (heads), width].</param>
    /// <param name="replacement">[count, rows, pos, width].</param>
    private Tensor Put(Tensor value, List<(int Cell, Receiver Receiver, Tensor Input)> found, Tensor replacement)
    {
        long rows = replacement.size(1), length = replacement.size(2);
        var copy = value.clone();
        var target = copy.view([cells.Count, rows, length, .. copy.shape[2..]]);
        TensorIndex Column(Func<(int Cell, Receiver Receiver, Tensor Input), long> of) =>
            TensorIndex.Tensor(tensor(found.Select(of).ToArray(), device: value.device).view(-1, 1));
        var index = new List<TensorIndex> { Column(x => x.Cell), TensorIndex.Colon, TensorIndex.Tensor(held.view(1, -1)) };
        if (target.dim() == 5) index.Add(Column(x => x.Receiver.Index));
        // Indices on both sides of a slice put theirs first: [count, held, rows, width].
        target.index_put_(replacement.index_select(2, held).transpose(1, 2), [.. index]);
        return copy;
    }
}
