using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Devices;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// A sweep under way. The base run leaves its residual stream before each layer; a cell resumes there, many cells in one pass.
/// Steps: the source run, the base run, then one pass of cells each. Where the metric is not the engine's, a step ends with each
/// question about a cell.
/// </summary>
public sealed class SweepExecution : IStepwise<SweepResult>
{
    private readonly TransformerModel model;
    private readonly Sweep sweep;
    private readonly CheckedPlan plan;
    private readonly ExecutionOptions options;
    private readonly SweepCells cells;
    private readonly IEnumerator<bool> steps;
    private readonly Dictionary<int, Tensor> replacements = [];
    private readonly Dictionary<int, Tensor> starts = [];
    private readonly SweepInquiry? inquiry;
    private PlanExecution? source;
    private SweepResult? result;

    internal SweepExecution(TransformerModel model, Sweep sweep, ExecutionOptions options)
    {
        this.model = model;
        this.sweep = sweep;
        this.options = options;
        plan = SweepChecker.Check(model, sweep);
        cells = new SweepCells(sweep, plan);
        CheckMemory();
        Progress = (0, cells.Count);
        inquiry = sweep.Metric is null ? new SweepInquiry() : null;
        steps = Steps().GetEnumerator();
    }

    /// <summary>Cells done, and cells in all.</summary>
    public (int Done, int Total) Progress { get; private set; }

    /// <summary>To be answered before the next step, where the sweep asks for its metric.</summary>
    public SweepQuestion? Question { get; private set; }

    /// <inheritdoc/>
    public bool Advance()
    {
        if (Question is { Value: null } asked) AskFunction(asked);
        Question = null;
        return steps.MoveNext();
    }

    /// <inheritdoc/>
    public SweepResult TakeResult() => result ?? throw new InvalidOperationException("The sweep has steps left.");

    private void AskFunction(SweepQuestion asked)
    {
        var function = sweep.Function ?? throw new InvalidOperationException("The sweep's question has no answer yet.");
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        try
        {
            asked.Answer(function(asked.Whole()));
        }
        catch (Exception e) when (asked.IsProbe && e is not OutOfMemoryException and not InterpException { Code: ErrorCode.Cancelled })
        {
            // It looked where nothing is.
            asked.Answer(double.NaN);
        }
    }

    private IEnumerable<bool> Steps()
    {
        if (sweep.Source is SweepFromRun run)
        {
            source = new PlanExecution(model, PlanChecker.Check(model, Capturing(run.Run)), options);
            while (source.Advance()) yield return true;
        }
        Collect();
        var baseline = Base();
        yield return true;
        var isRectangular = plan.Plan.Rows.All(r => r.Length == plan.Length);
        var isBase = true;
        foreach (var question in inquiry?.Baseline(isRectangular) ?? [])
        {
            Question = question;
            yield return true;
            if (isBase) baseline = question.Value!.Value;
            isBase = false;
        }

        var values = new double[cells.Count];
        var rows = plan.RowCount;
        var perRow = sweep.Metric is null ? null : new double[(long)values.Length * rows];
        for (var layer = 0; layer < cells.Indices[0].Length; layer++)
            foreach (var chunk in cells.OfLayer(layer).Chunk(CellsPerPass()))
            {
                var (means, each) = Pass(chunk);
                means?.CopyTo(values, chunk[0].Index);
                each?.CopyTo(perRow!, (long)chunk[0].Index * rows);
                var asked = chunk[0].Index;
                foreach (var question in inquiry?.Cells(chunk.Length, rows) ?? [])
                {
                    Question = question;
                    yield return true;
                    values[asked++] = question.Value!.Value;
                }
                Progress = (Progress.Done + chunk.Length, values.Length);
                sweep.Progress?.Invoke(Progress.Done, Progress.Total);
                yield return true;
            }
        result = new SweepResult
        {
            Values = values,
            PerRow = perRow,
            Shape = [.. cells.Indices.Select(i => i.Length)],
            Axes = sweep.Grid.Axes,
            Indices = cells.Indices,
            Baseline = baseline,
        };
    }

    // A residual stream and a replacement per layer stay, and the numbers; a pass holds at least one cell.
    private void CheckMemory()
    {
        if (options.MemoryLimit is not { } limit) return;
        var element = model.DataType == ScalarType.Float64 ? 8L : 4L;
        var site = plan.Catalogue.Shape(new HookPoint(sweep.Grid.Site, cells.Indices[0][0]), plan.RowCount, plan.Length, plan.Length);
        var perLayer = ((long)plan.RowCount * plan.Length * model.Config.ModelWidth + site.Aggregate(1L, (a, b) => a * b)) * element;
        var needed = perLayer * cells.Indices[0].Length + 8L * cells.Count * (1 + plan.RowCount) + PlanCost.Of(model, plan).WorkingBytesPerRow * plan.RowCount;
        if (needed > limit)
            throw new InterpException(ErrorCode.ResourceExhausted, "SWEEP_TOO_LARGE",
                $"The sweep needs about {needed >> 20:N0} MiB; the limit is {limit >> 20:N0} MiB. Sweep fewer layers, or run fewer rows.");
    }

    private Plan Capturing(Plan run) => run with
    {
        Captures = [.. cells.Indices[0].Select(layer => new Capture(new HookPoint(sweep.Grid.Site, layer).Name))],
    };

    // The replacement of each layer's site, each [rows, ...].
    private void Collect()
    {
        var finished = source?.TakeResult();
        foreach (var layer in cells.Indices[0])
        {
            var name = new HookPoint(sweep.Grid.Site, layer).Name;
            if (finished is not null) replacements[layer] = finished.Captures[name];
            else if (sweep.Source is SweepFromCache cache) replacements[layer] = SweepChecker.FromCache(cache, name, plan, layer, sweep.Grid.Site, model);
        }
    }

    private double Base()
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var batch = new RowBatch(plan, [.. Enumerable.Range(0, plan.RowCount)], plan.Plan.PaddingSide == PaddingSide.Left, model.Device);
        using var layout = batch.Layout(model.Config, null, model.Device);
        using var captures = new CaptureStore();
        var hooks = new StartRecorder(Table(batch.Geometry, captures), cells.Indices[0], starts);
        var pass = new ForwardPass(model, plan.Plan.Flags, hooks, layout);
        var residual = pass.Blocks(pass.Embed(batch.Tokens!), 0, plan.EndLayer);
        if (sweep.Metric is { } metric) return SweepMetric.Values(metric, residual, pass, batch, 1).Mean[0];
        inquiry!.Read(residual, pass);
        return double.NaN;
    }

    private (double[]? Mean, double[]? PerRow) Pass(SweepCell[] chunk)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var layer = chunk[0].Layer;
        int rows = plan.RowCount, count = chunk.Length;
        var repeated = Enumerable.Range(0, count).SelectMany(_ => Enumerable.Range(0, rows)).ToList();
        var batch = new RowBatch(plan, repeated, plan.Plan.PaddingSide == PaddingSide.Left, model.Device);
        using var layout = batch.Layout(model.Config, null, model.Device);
        using var captures = new CaptureStore();
        var point = new HookPoint(sweep.Grid.Site, layer);
        var isAttention = point.Info.Axes.Contains(HookAxis.KeyPosition);
        var start = starts[layer].repeat([count, 1, 1]);
        var value = replacements.TryGetValue(layer, out var given) ? given : zeros(plan.Catalogue.Shape(point, rows, plan.Length, plan.Length), model.DataType, model.Device);
        var hooks = new SweepEdit(Table(batch.Geometry, captures), point, isAttention, chunk, rows, value);
        var pass = new ForwardPass(model, plan.Plan.Flags, hooks, layout);
        var residual = pass.Blocks(start, layer, plan.EndLayer);
        if (sweep.Metric is { } metric) return SweepMetric.Values(metric, residual, pass, batch, count);
        inquiry!.Read(residual, pass);
        return (null, null);
    }

    // A callback sees its own rows once per cell.
    private int CellsPerPass()
    {
        if (plan.Plan.HasCallbacks) return 1;
        var perCell = PlanCost.Of(model, plan).WorkingBytesPerRow * plan.RowCount;
        return (int)Math.Clamp(options.BatchBudget / Math.Max(1, perCell), 1, Math.Max(1, MaxTokens / (plan.RowCount * plan.Length)));
    }

    // Beyond some thousand tokens a pass gains nothing and its memory leaves the cache.
    private const int MaxTokens = 4096;

    private IActivationHooks Table(BatchGeometry geometry, CaptureStore captures) => plan.Interventions.Count == 0
        ? NoHooks.Instance
        : new HookTable(plan, geometry, captures, new FiredCounter(plan.Interventions), (_, _) => throw new InvalidOperationException(), null, model.Device);

    public void Dispose()
    {
        steps.Dispose();
        source?.Dispose();
        inquiry?.Dispose();
        foreach (var tensor in starts.Values) tensor.Dispose();
        foreach (var tensor in replacements.Values) tensor.Dispose();
    }
}
