using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Plans.Execution;
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

    private readonly SweepContext context;
    private readonly IEnumerator<bool> steps;
    private SweepBase? baseRun;

    public PackedSweep(SweepContext context)
    {
        this.context = context;
        steps = Steps().GetEnumerator();
    }

    /// <summary>Whether packed passes give what the sweep asks for.</summary>
    public static bool Supports(TransformerConfig config, Sweep sweep) =>
        Sites.Contains(sweep.Grid.Site) && sweep.Base.Interventions.Count == 0
        && (!sweep.Base.Flags.UngroupGroupedQueryAttention || config.KeyHeads == config.HeadCount);

    public bool Step() => steps.MoveNext();

    private HookSite Site => context.Sweep.Grid.Site;

    private IEnumerable<bool> Steps()
    {
        baseRun = new SweepBase(context.Model, context.Plan, Points(), context.Metric);
        yield return true;
        var running = Answer();
        yield return true;
        foreach (var chunk in Chunks(running))
        {
            using var pass = new PackedPass(context.Model, Site, baseRun, layer => context.Replacements[layer], chunk);
            while (pass.Step()) yield return true;
            foreach (var group in pass.Groups)
                foreach (var cells in group.Cells.Select((cell, i) => (cell, i)).Chunk(CellsPerUnembedding(group.Rows)))
                {
                    Measure(group, cells);
                    yield return true;
                }
        }
    }

    // What cells read of the base run: where they join, and the keys and values of all later layers.
    private IEnumerable<HookPoint> Points()
    {
        var config = context.Model.Config;
        var layers = context.Cells.Indices[0];
        foreach (var layer in layers)
            foreach (var site in CellEntry.Reads(config, Site)) yield return new HookPoint(site, layer);
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
        for (var i = 0; i < context.Cells.Indices[0].Length; i++)
        {
            var layer = context.Cells.Indices[0][i];
            var skips = new CellSkips(context.Model, Site, layer, baseRun!, context.Replacements[layer], context.SharedPrefix);
            foreach (var cell in context.Cells.OfLayer(i))
            {
                if (skips.StartOf(cell) is { } start) running.Add((cell, start));
                else context.Metric.MeasureUnchanged(cell, context);
            }
        }
        return running;
    }

    private IEnumerable<List<(SweepCell Cell, int Start)>> Chunks(List<(SweepCell Cell, int Start)> cells)
    {
        var chunk = new List<(SweepCell, int)>();
        long tokens = 0;
        var limit = Math.Max(1, Math.Min(TokensPerPass, context.Options.BatchBudget / BytesPerToken()));
        foreach (var cell in cells.OrderBy(c => c.Cell.Layer))
        {
            var more = (long)context.Plan.RowCount * (context.Plan.Length - cell.Start);
            if (chunk.Count > 0 && tokens + more > limit)
            {
                yield return chunk;
                (chunk, tokens) = ([], 0);
            }
            chunk.Add(cell);
            tokens += more;
        }
        if (chunk.Count > 0) yield return chunk;
    }

    private long BytesPerToken()
    {
        var c = context.Model.Config;
        return 8L * (6 * c.ModelWidth + 4 * c.HeadCount * c.HeadWidth + 3 * (c.MlpWidth ?? 0));
    }

    private void Measure(PackedGroup group, (SweepCell Cell, int Index)[] cells)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var rows = group.Rows;
        var residual = group.Residual.narrow(0, cells[0].Index, cells.Length).flatten(0, 1);
        var repeated = Enumerable.Range(0, cells.Length).SelectMany(_ => Enumerable.Range(0, rows)).ToList();
        var batch = new RowBatch(context.Plan, repeated, context.Plan.Plan.PaddingSide == PaddingSide.Left, context.Model.Device);
        residual = context.Metric.ReadsPosition is not { } position ? Whole(residual, group, cells.Length)
            : residual.size(1) == 1 ? residual
            : RunOutputs.At(residual, [.. batch.Position(position).Select(p => p - group.Start)]);
        using var layout = batch.Layout(context.Model.Config, null, context.Model.Device);
        var pass = new ForwardPass(context.Model, ModelFlags.None, NoHooks.Instance, layout);
        context.Metric.Measure([.. cells.Select(c => c.Cell)], residual, pass, batch, context);
    }

    // The base run before the group's start, the cells' own from there on.
    private Tensor Whole(Tensor residual, PackedGroup group, int cells) =>
        group.Start == 0 ? residual : cat([baseRun!.Final.narrow(1, 0, group.Start).repeat([cells, 1, 1]), residual], 1);

    // Logits are large: some hundred megabytes at a time.
    private int CellsPerUnembedding(int rows)
    {
        var positions = context.Metric.ReadsPosition is null ? context.Plan.Length : 1;
        var tokens = context.Metric.ReadsTokens?.Count ?? context.Model.Config.OutputVocabularySize;
        return (int)Math.Max(1, (64L << 20) / ((long)rows * positions * tokens));
    }

    public void Dispose()
    {
        steps.Dispose();
        baseRun?.Dispose();
    }
}
