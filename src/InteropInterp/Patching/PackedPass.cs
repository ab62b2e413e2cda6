using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// One pass over the layers in which cells join as their layer comes, all of them in the same matrix products. A step is a layer.
/// </summary>
internal sealed class PackedPass : IDisposable
{
    private readonly TransformerModel model;
    private readonly HookSite site;
    private readonly SweepBase baseRun;
    private readonly Func<int, Tensor> replacements;
    private readonly IReadOnlyList<(SweepCell Cell, int Start)> cells;
    private readonly EntryPoint entry;
    private readonly SortedDictionary<int, PackedGroup> groups = [];
    private readonly int rows, length;
    private int layer;

    public PackedPass(
        TransformerModel model, HookSite site, SweepBase baseRun, Func<int, Tensor> replacements, IReadOnlyList<(SweepCell Cell, int Start)> cells)
    {
        (this.model, this.site, this.baseRun, this.replacements, this.cells) = (model, site, baseRun, replacements, cells);
        entry = CellEntry.PointOf(model.Config, site);
        (rows, length) = ((int)baseRun.Final.size(0), (int)baseRun.Final.size(1));
        layer = cells.Min(c => c.Cell.Layer);
    }

    /// <summary>After the last step: the cells with their last residual streams.</summary>
    public IReadOnlyCollection<PackedGroup> Groups => groups.Values;

    /// <summary>Runs a layer; false when there was none left.</summary>
    public bool Step()
    {
        if (layer == model.Config.LayerCount) return false;
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        if (entry == EntryPoint.Start) Join();
        if (groups.Count > 0) Attend();
        if (entry == EntryPoint.Middle) Join();
        if (groups.Count > 0 && !model.Config.AttentionOnly && !model.Config.ParallelBlocks) Process();
        if (entry == EntryPoint.End) Join();
        layer++;
        return true;
    }

    private void Join()
    {
        var joining = cells.Where(c => c.Cell.Layer == layer).GroupBy(c => c.Start).ToList();
        if (joining.Count == 0) return;
        var entries = new CellEntry(model, site, layer, baseRun, replacements(layer));
        foreach (var together in joining)
        {
            if (!groups.TryGetValue(together.Key, out var group)) groups[together.Key] = group = new PackedGroup(together.Key, rows, length);
            List<SweepCell> newcomers = [.. together.Select(c => c.Cell)];
            var streams = entries.Join(newcomers, group);
            Set(group, group.Residual is null ? streams : cat([group.Residual, streams], 0));
            group.Cells.AddRange(newcomers);
        }
    }

    private void Attend()
    {
        var held = Held();
        var layout = new PackedLayout(model.Config, held, l => (baseRun[Keys, l], baseRun[HookSite.V, l]), baseRun.Positions, baseRun.KeyMask, baseRun.LongestPosition);
        var pass = new ForwardPass(model, ModelFlags.None, NoHooks.Instance, layout);
        var packed = Pack(held);
        var result = packed.Plus(pass.Attention(packed, layer));
        if (model.Config.ParallelBlocks) result.PlusInPlace(pass.Mlp(packed, layer));
        Unpack(held, result);
    }

    // The MLP looks at tokens one by one: no layout is asked.
    private void Process()
    {
        var held = Held();
        var packed = Pack(held);
        var processed = new MlpBlock(model, NoHooks.Instance).Apply(packed, model.Weights.Blocks[layer], layer);
        Unpack(held, packed.Plus(processed));
    }

    private HookSite Keys => model.Config.IsRotary ? HookSite.RotK : HookSite.K;

    private List<PackedGroup> Held() => [.. groups.Values.Where(g => g.Residual is not null)];

    private Tensor Pack(List<PackedGroup> held) =>
        (held.Count == 1 ? held[0].Residual! : cat([.. held.Select(g => g.Residual!.flatten(0, 2))], 0)).view(1, -1, model.Config.ModelWidth);

    private void Unpack(List<PackedGroup> held, Tensor packed)
    {
        long offset = 0;
        foreach (var group in held)
        {
            Set(group, packed.narrow(1, offset, group.Tokens).view(group.Cells.Count, rows, group.Length, model.Config.ModelWidth));
            offset += group.Tokens;
        }
    }

    private static void Set(PackedGroup group, Tensor residual)
    {
        var previous = group.Residual;
        group.Residual = residual.alias().DetachFromDisposeScope();
        previous?.Dispose();
    }

    public void Dispose()
    {
        foreach (var group in groups.Values) group.Residual?.Dispose();
    }
}
