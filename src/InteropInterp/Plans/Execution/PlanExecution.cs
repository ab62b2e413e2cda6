using InteropInterp.Generation;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Devices;
using InteropInterp.Plans.Checking;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Execution;

/// <summary>
/// A plan under way, cut into steps (a batch, a decode step) between which the device can be lent to others. Scopes and modes
/// are opened and closed within a step.
/// </summary>
public sealed class PlanExecution : IStepwise<RunResult>
{
    private readonly TransformerModel model;
    private readonly CheckedPlan plan;
    private readonly ExecutionOptions options;
    private readonly Dictionary<string, PlanExecution> sources = [];
    private readonly CaptureStore captures = new();
    private readonly FiredCounter fired;
    private readonly RunOutputs outputs;
    private readonly IEnumerator<bool> steps;
    private readonly List<IReadOnlyList<int>> generated = [];
    private RunResult? result;
    private bool isTaken;

    internal PlanExecution(TransformerModel model, CheckedPlan plan, ExecutionOptions options)
    {
        this.model = model;
        this.plan = plan;
        this.options = options;
        fired = new FiredCounter(plan.Interventions);
        outputs = new RunOutputs(plan);
        steps = Steps().GetEnumerator();
        StepCount = CountSteps(plan);
    }

    /// <summary>What its result will hold, as estimated before the run.</summary>
    public long ResultBytes { get; init; }

    public int StepsDone { get; private set; }

    /// <summary>Steps at most: a generation may end early.</summary>
    public int StepCount { get; }

    /// <summary>What the last step appended, if it was a decode step: the plan's row of the first token, and a token per row.</summary>
    public (int FirstRow, IReadOnlyList<int> Tokens)? NewTokens { get; private set; }

    /// <inheritdoc/>
    public bool Advance()
    {
        NewTokens = null;
        if (!steps.MoveNext()) return false;
        StepsDone++;
        return true;
    }

    /// <inheritdoc/>
    public RunResult TakeResult()
    {
        var taken = result ?? throw new InvalidOperationException("The run has steps left.");
        isTaken = true;
        return taken;
    }

    private int CountSteps(CheckedPlan counted) => counted.Sources.Values.Sum(CountSteps)
        + BatchPlanner.Cut(model, counted, options).Count() * (counted.Plan.Generation?.MaxNewTokens ?? 1);

    private IEnumerable<bool> Steps()
    {
        foreach (var (name, source) in plan.Sources)
        {
            var run = new PlanExecution(model, source, options);
            sources[name] = run;
            while (run.Advance()) yield return true;
        }
        var index = 0;
        foreach (var rows in BatchPlanner.Cut(model, plan, options))
        {
            captures.BeginBatch(index++);
            if (plan.Plan.Generation is null)
            {
                Run(rows);
                yield return true;
                continue;
            }
            using var generation = new GenerationRun(model, plan, rows, Table);
            while (generation.Step())
            {
                NewTokens = (rows[0], generation.NewTokens);
                yield return true;
            }
            generated.AddRange(generation.Rows);
        }
        result = outputs.Finish(captures.Take(), fired.Report(), generated.Count > 0 ? generated : null);
        foreach (var source in sources.Values) source.Dispose();
        sources.Clear();
    }

    private void Run(IReadOnlyList<int> rows)
    {
        using var scope = NewDisposeScope();
        using var tape = plan.NeedsGradient ? new GradientTape() : null;
        using var mode = set_grad_enabled(tape is not null);
        var batch = new RowBatch(plan, rows, plan.Plan.PaddingSide == PaddingSide.Left, model.Device);
        using var layout = batch.Layout(model.Config, null, model.Device);
        var pass = new ForwardPass(model, plan.Plan.Flags, Table(batch.Geometry, tape), layout);

        var residual = plan.Plan.Residual is { } given
            ? given.index_select(0, tensor(rows.Select(r => (long)r).ToArray(), device: given.device)).to(model.DataType, model.Device)
            : pass.Embed(batch.Tokens!);
        residual = pass.Blocks(residual, plan.FirstLayer, plan.EndLayer);
        outputs.Add(batch, residual, pass, tape);
        tape?.Backward();
    }

    // Nothing declared: no table.
    private IActivationHooks Table(BatchGeometry geometry, GradientTape? tape) =>
        plan.Captures.Count == 0 && plan.Interventions.Count == 0 && plan.Cotangents.Count == 0
            ? NoHooks.Instance
            : new HookTable(plan, geometry, captures, fired, (source, name) => sources[source].result!.Captures[name], tape, model.Device);

    public void Dispose()
    {
        steps.Dispose();
        captures.Dispose();
        if (result is null) outputs.Dispose();
        else if (!isTaken) result.Dispose();
        foreach (var source in sources.Values) source.Dispose();
    }
}
