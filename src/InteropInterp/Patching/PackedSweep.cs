using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// A sweep in packed passes: cells that change nothing are answered from the base run, the others run from their layer and
/// their first changed position on, many of them in the same matrix products.
/// </summary>
internal sealed class PackedSweep : ISweepPasses
{
    // A thousand rows reach the rate of large matrix products; beyond some thousands a pass only takes more memory.
    private const int TokensPerPass = 4096;

    private static readonly HookSite[] Sites =
    [
        HookSite.ResidPre, HookSite.ResidMid, HookSite.ResidPost, HookSite.AttnOut, HookSite.MlpPost, HookSite.MlpOut,
        HookSite.Z, HookSite.Q, HookSite.K, HookSite.V, HookSite.Pattern,
    ];

    // What a dictionary's features change is a change of these, and of what they write.
    private static readonly HookSite[] FeatureSites =
    [
        HookSite.ResidPre, HookSite.ResidMid, HookSite.ResidPost, HookSite.AttnOut, HookSite.MlpPost, HookSite.MlpOut, HookSite.Z,
    ];

    private readonly SweepPart part;
    private readonly IEnumerator<bool> steps;

    public PackedSweep(SweepPart part)
    {
        this.part = part;
        steps = Steps().GetEnumerator();
    }

    /// <summary>
    /// Whether packed passes give what the sweep asks for: what a cell changes reaches later positions alone, and no intervention of the
    /// base reaches into the blocks.
    /// </summary>
    public static bool Supports(TransformerConfig config, SweepGrid grid, CheckedPlan plan) =>
        config.IsCausal && (grid.Bases.Count > 0 ? FeatureSites : Sites).Contains(grid.Site)
        && plan.Interventions.All(i => i.Intervention.Op is not CallbackOp && i.Points.All(p => p.Site < HookSite.ResidPre))
        && (!plan.Plan.Flags.UngroupGroupedQueryAttention || config.KeyHeads == config.HeadCount);

    public bool Step() => steps.MoveNext();

    private IEnumerable<bool> Steps()
    {
        var running = Answer();
        yield return true;
        foreach (var chunk in Chunks(running))
        {
            using var pass = new PackedPass(part, chunk);
            while (pass.Step()) yield return true;
            foreach (var group in pass.Groups)
                foreach (var cells in group.Cells.Select((cell, i) => (cell, i)).Chunk(CellsPerUnembedding(group.Rows)))
                {
                    Measure(group, cells);
                    yield return true;
                }
        }
    }

    /// <summary>What cells read of the base run: where they join, and the keys and values of all later layers.</summary>
    public static IEnumerable<HookPoint> Reads(TransformerConfig config, HookSite swept, IReadOnlyList<int> layers)
    {
        foreach (var layer in layers)
            foreach (var site in CellEntry.Reads(config, swept)) yield return new HookPoint(site, layer);
        for (var layer = layers.Min(); layer < config.LayerCount; layer++)
        {
            yield return new HookPoint(config.IsRotary ? HookSite.RotK : HookSite.K, layer);
            yield return new HookPoint(HookSite.V, layer);
        }
    }

    // Answers from the base run what needs no pass; the rest with where it begins.
    private List<(SweepCell Cell, int Start)> Answer()
    {
        var running = new List<(SweepCell, int)>();
        for (var i = 0; i < part.Cells.Indices[0].Length; i++)
        {
            var layer = part.Cells.Indices[0][i];
            var skips = new CellSkips(part, layer);
            foreach (var cell in part.Cells.OfLayer(i))
            {
                if (skips.StartOf(cell) is { } start) running.Add((cell, start));
                else part.Metric.MeasureUnchanged(cell, part);
            }
        }
        return running;
    }

    private IEnumerable<List<(SweepCell Cell, int Start)>> Chunks(List<(SweepCell Cell, int Start)> cells)
    {
        var chunk = new List<(SweepCell, int)>();
        long tokens = 0, bytes = 0;
        var cost = SweepCost.Of(part.Model, part.Grid, part.Plan);
        foreach (var cell in cells.OrderBy(c => c.Cell.Layer))
        {
            var length = part.Plan.Length - cell.Start;
            var (moreTokens, moreBytes) = ((long)part.Plan.RowCount * length, cost.PerCell(length));
            if (chunk.Count > 0 && (tokens + moreTokens > TokensPerPass || bytes + moreBytes > part.Options.BatchBudget))
            {
                yield return chunk;
                (chunk, tokens, bytes) = ([], 0, 0);
            }
            chunk.Add(cell);
            (tokens, bytes) = (tokens + moreTokens, bytes + moreBytes);
        }
        if (chunk.Count > 0) yield return chunk;
    }

    private void Measure(PackedGroup group, (SweepCell Cell, int Index)[] cells)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var rows = group.Rows;
        var residual = group.Residual.narrow(0, cells[0].Index, cells.Length).flatten(0, 1);
        var repeated = Enumerable.Range(0, cells.Length).SelectMany(_ => Enumerable.Range(0, rows)).ToList();
        var batch = new RowBatch(part.Plan, repeated, part.Plan.Plan.PaddingSide == PaddingSide.Left, part.Model.Device);
        residual = part.Metric.ReadsPosition is not { } position ? Whole(residual, group, cells.Length)
            : residual.size(1) == 1 ? residual
            : RunOutputs.At(residual, [.. batch.Position(position).Select(p => p - group.Start)]);
        using var layout = batch.Layout(part.Model.Config, null, part.Model.Device);
        var pass = new ForwardPass(part.Model, ModelFlags.None, NoHooks.Instance, layout);
        part.Metric.Measure([.. cells.Select(c => c.Cell)], residual, pass, batch, part);
    }

    // The base run before the group's start, the cells' own from there on.
    private Tensor Whole(Tensor residual, PackedGroup group, int cells) =>
        group.Start == 0 ? residual : cat([part.Base.Final.narrow(1, 0, group.Start).repeat([cells, 1, 1]), residual], 1);

    // Logits are large: some hundred megabytes at a time, or what the budget leaves.
    private int CellsPerUnembedding(int rows)
    {
        var positions = part.Metric.ReadsPosition is null ? part.Plan.Length : 1;
        var tokens = part.Metric.ReadsTokens?.Count ?? part.Model.Config.OutputVocabularySize;
        return (int)Math.Max(1, Math.Min(256L << 20, part.Options.BatchBudget / 3) / (4L * rows * positions * tokens));
    }

    public void Dispose()
    {
        steps.Dispose();
    }
}
