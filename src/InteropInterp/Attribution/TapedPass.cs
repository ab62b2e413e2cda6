using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Attribution;

/// <summary>A pass over some rows of a plan, with gradients of the mean of its metric over all rows, or without.</summary>
internal static class TapedPass
{
    /// <summary>The batches whose recorded passes keep to the budget.</summary>
    public static List<IReadOnlyList<int>> Batches(TransformerModel model, Plan plan, IReadOnlySet<HookPoint> points,
        ExecutionOptions options)
    {
        var captures = points.Select(p => new Capture(p.Name) { Gradient = true });
        return [.. BatchPlanner.Cut(model, PlanChecker.Check(model, plan with { Captures = [.. captures] }), options)];
    }

    /// <summary>Forward alone: what <see cref="TapedHooks.Forward"/> sees of it.</summary>
    public static void Forward(
        TransformerModel model, CheckedPlan plan, IReadOnlyList<int> rows, IReadOnlySet<HookPoint> points, Func<HookPoint, Tensor,
            Tensor> see)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        using var captures = new CaptureStore();
        var batch = new RowBatch(plan, rows, plan.Plan.PaddingSide == PaddingSide.Left, model.Device);
        using var layout = batch.Layout(model.Config, null, model.Device);
        using var hooks = new TapedHooks(Declared(model, plan, batch, captures), points, null) { Forward = see };
        var pass = new ForwardPass(model, plan.Plan.Flags, hooks, layout);
        pass.Blocks(pass.Embed(batch.Tokens!), 0, plan.EndLayer);
    }

    /// <summary>Forward and back.</summary>
    /// <param name="walks">How often to walk back: each time the number of the walk is told first.</param>
    /// <param name="edit">What the pass goes on with at a point; null: with what stands there.</param>
    /// <param name="visit">Given the hooks (for other activations), a point, its activation and its gradient, the gradient to go on
    /// with.</param>
    public static void Backward(
        TransformerModel model, CheckedPlan plan, IReadOnlyList<int> rows, IReadOnlySet<HookPoint> points,
        Func<TapedHooks, HookPoint, Tensor, Tensor, Tensor> visit, Func<HookPoint, Tensor, Tensor>? edit = null, int walks = 1,
            Action<int>? walking = null)
    {
        using var scope = NewDisposeScope();
        using var tape = new GradientTape();
        using var mode = enable_grad();
        using var captures = new CaptureStore();
        using var outputs = new RunOutputs(plan);
        var batch = new RowBatch(plan, rows, plan.Plan.PaddingSide == PaddingSide.Left, model.Device);
        using var layout = batch.Layout(model.Config, null, model.Device);
        TapedHooks? hooks = null;
        using var taped = hooks = new TapedHooks(Declared(model, plan, batch, captures), points, tape)
        {
            Forward = edit, Backward = (point, activation, gradient) => visit(hooks!, point, activation, gradient),
        };
        var pass = new ForwardPass(model, plan.Plan.Flags, taped, layout);
        outputs.Add(batch, pass.Blocks(pass.Embed(batch.Tokens!), 0, plan.EndLayer), pass, tape);
        using var noGrad = no_grad();
        for (var walk = 0; walk < walks; walk++)
        {
            walking?.Invoke(walk);
            tape.Backward(keep: walk + 1 < walks);
        }
    }

    private static IActivationHooks Declared(TransformerModel model, CheckedPlan plan, RowBatch batch, CaptureStore captures) =>
        plan.Interventions.Count == 0
        ? NoHooks.Instance
        : new HookTable(
            plan, batch.Geometry, captures, new FiredCounter(plan.Interventions),
            (_, _) => throw new InvalidOperationException("Sources were refused."), null, model.Device);
}
