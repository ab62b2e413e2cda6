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
    private readonly SweepPart part;
    private readonly TransformerModel model;
    private readonly HookSite site;
    private readonly SweepBase baseRun;
    private readonly IReadOnlyList<(SweepCell Cell, int Start)> cells;
    private readonly EntryPoint entry;
    private readonly int? readAlone;
    private readonly SortedDictionary<int, PackedGroup> groups = [];
    private readonly int rows, length;
    private int layer;

    public PackedPass(SweepPart part, IReadOnlyList<(SweepCell Cell, int Start)> cells)
    {
        (this.part, this.cells, model, site, baseRun) = (part, cells, part.Model, part.Site, part.Base);
        entry = CellEntry.PointOf(model.Config, site);
        (rows, length) = ((int)baseRun.Final.size(0), (int)baseRun.Final.size(1));
        layer = cells.Min(c => c.Cell.Layer);
        if (baseRun.ReadPositions?.Distinct().ToArray() is [var same]) readAlone = (int)same;
    }

    /// <summary>After the last step: the cells with their last residual streams.</summary>
    public IReadOnlyCollection<PackedGroup> Groups => groups.Values;

    // In the last layer nothing but the position that is read is of use, where it is the same in all rows.
    private int? Read => layer == model.Config.LayerCount - 1 ? readAlone : null;

    /// <summary>Runs a layer; false when there was none left.</summary>
    public bool Step()
    {
        if (layer == model.Config.LayerCount) return false;
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        List<PackedGroup> held = [.. groups.Values];
        var newcomers = Newcomers();
        Attend([.. held.Select(g => new PackedPart(g, g.Length, Read)), .. entry == EntryPoint.Start ? newcomers.Select(Entering) : []]);
        if (!model.Config.AttentionOnly && !model.Config.ParallelBlocks) Process(entry == EntryPoint.End ? held : [.. held, .. newcomers]);
        foreach (var group in newcomers) Join(group);
        foreach (var group in groups.Values) group.Keep();
        layer++;
        return true;
    }

    // Cells of this layer, as groups of their own until it is done. Where a cell changes one position, its residual stream is that
    // position's alone, unless attention is yet to carry it on.
    private List<PackedGroup> Newcomers()
    {
        var entries = new Lazy<CellEntry>(() => new CellEntry(part, layer));
        return [.. cells.Where(c => c.Cell.Layer == layer).GroupBy(c => c.Start).Select(together =>
        {
            var group = new PackedGroup(together.Key, rows, length);
            group.Cells.AddRange(together.Select(c => c.Cell));
            group.Residual = entries.Value.Changed(group);
            if (entry == EntryPoint.Start) group.Residual = Complete(group, HookSite.ResidPre);
            else if (Read is { } read && group.Residual.size(2) > 1) group.Residual = group.Residual.narrow(2, read - group.Start, 1);
            return group;
        })];
    }

    // At the other positions nothing has changed yet; but a parallel MLP reads what attention reads, and is asked for all of them.
    private PackedPart Entering(PackedGroup group) =>
        new(group, CellEntry.ChangesOne(site, group.Cells[0]) && !model.Config.ParallelBlocks ? 1 : group.Length, Read);

    private void Attend(List<PackedPart> parts)
    {
        if (parts.Count == 0) return;
        var pass = new ForwardPass(model, ModelFlags.None, NoHooks.Instance, new PackedLayout(model.Config, parts, baseRun));
        var residual = Pack([.. parts.Select(p => p.Output)]);
        var result = residual.Plus(pass.Attention(Pack([.. parts.Select(p => p.Input)]), layer));
        if (model.Config.ParallelBlocks) result.PlusInPlace(pass.Mlp(residual, layer));
        Unpack([.. parts.Select(p => (p.Group, p.Outputs))], result);
    }

    // The MLP looks at tokens one by one: no layout is asked.
    private void Process(List<PackedGroup> some)
    {
        if (some.Count == 0) return;
        var packed = Pack([.. some.Select(g => g.Residual)]);
        var processed = new MlpBlock(model, NoHooks.Instance).Apply(packed, model.Weights.Blocks[layer], layer);
        Unpack([.. some.Select(g => (g, (int)g.Residual.size(2)))], packed.Plus(processed));
    }

    private void Join(PackedGroup newcomers)
    {
        if (Read is null) newcomers.Residual = Complete(newcomers, HookSite.ResidPost);
        if (!groups.TryGetValue(newcomers.Start, out var group))
        {
            groups[newcomers.Start] = newcomers;
            return;
        }
        group.Residual = cat([group.Residual, newcomers.Residual], 0);
        group.Cells.AddRange(newcomers.Cells);
    }

    // The base run's residual stream at the positions that cells have not changed.
    private Tensor Complete(PackedGroup group, HookSite stream)
    {
        var changed = (int)group.Residual.size(2);
        if (changed == group.Length) return group.Residual;
        var rest = baseRun[stream, layer].narrow(1, group.Start + changed, group.Length - changed).unsqueeze(0).expand(group.Cells.Count, -1, -1, -1);
        return cat([group.Residual, rest], 2);
    }

    // [cells, rows, positions, d_model] each -> [1, tokens, d_model].
    private Tensor Pack(Tensor[] streams)
    {
        Tensor[] flat = [.. streams.Select(s => s.reshape(1, -1, model.Config.ModelWidth))];
        return flat.Length == 1 ? flat[0] : cat(flat, 1);
    }

    private void Unpack(IEnumerable<(PackedGroup Group, int Positions)> some, Tensor packed)
    {
        long offset = 0;
        foreach (var (group, positions) in some)
        {
            var tokens = (long)group.Cells.Count * rows * positions;
            group.Residual = packed.narrow(1, offset, tokens).view(group.Cells.Count, rows, positions, model.Config.ModelWidth);
            offset += tokens;
        }
    }

    public void Dispose()
    {
        foreach (var group in groups.Values) group.Dispose();
    }
}
