using InteropInterp.Native.Devices;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Protocol.Handlers;

/// <summary>Runs plans and sweeps.</summary>
public sealed class RunHandlers(Workspace workspace)
{
    /// <summary>RunPlan; and StreamPlan, whose observer hears of progress and tokens.</summary>
    public async ValueTask<RunPlanResponse> RunPlan(RunPlanRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var model = context.Session.Models.Take(request.Model);
        using var references = new RequestReferences(workspace, context);
        using var results = new ResultTensors(workspace, context, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var plan = PlanMapping.ToEngine(request.Plan, references);
        using var run = PlanRunner.Start(model.Value.Model, plan, workspace.Options);
        using var room = workspace.Tensors.Reserve(context.Session, run.ResultBytes);
        var observer = Observer(request.ProgressCallback, context, isSweep: false);
        IStepwise<RunResult> steps = observer is null ? run : new ObservedRun(run, observer);
        var response = await workspace.Work.Run(model.Value.Model.Device, steps.Then(result =>
        {
            room.Dispose();
            return ToResponse(result, results);
        }), context.Cancellation).ConfigureAwait(false);
        results.Keep();
        return response;
    }

    public ValueTask<CheckPlanResponse> CheckPlan(CheckPlanRequest request, HandlerContext context)
    {
        using var model = context.Session.Models.Take(request.Model);
        using var references = new RequestReferences(workspace, context);
        var plan = PlanMapping.ToEngine(request.Plan, references);
        return new(ResultMapping.ToProto(PlanRunner.Check(model.Value.Model, plan, workspace.Options)));
    }

    /// <summary>RunSweep and StreamSweep.</summary>
    public async ValueTask<RunSweepResponse> RunSweep(RunSweepRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var model = context.Session.Models.Take(request.Model);
        using var references = new RequestReferences(workspace, context);
        var sweep = SweepMapping.ToEngine(request.Sweep, references, out var callback);
        var metric = callback is { } id ? Metric(id, context) : null;
        var execution = SweepRunner.Start(model.Value.Model, sweep, workspace.Options);
        var reporter = new SweepReporter(execution, Observer(request.ProgressCallback, context, isSweep: true), request.PartialResults);
        var steps = new ObservedSweep(execution, reporter, metric);
        return await workspace.Work.Run(model.Value.Model.Device, steps.Then(SweepMapping.ToProto), context.Cancellation).ConfigureAwait(false);
    }

    /// <summary>CallbackSweep: between two steps the client, far away, measures a cell; meanwhile the device is others'.</summary>
    /// <param name="ask">Sends a question, and waits for its answer.</param>
    public async ValueTask<RunSweepResponse> RunSweep(RunSweepRequest request, HandlerContext context, Func<MetricQuestion, ValueTask<double>> ask)
    {
        using var place = context.Session.BeginRun();
        using var model = context.Session.Models.Take(request.Model);
        using var references = new RequestReferences(workspace, context);
        var sweep = SweepMapping.ToEngine(request.Sweep, references, out var callback);
        if (callback is null) throw Fields.Invalid("sweep.metric", "METRIC_IS_DECLARED", "CallbackSweep is for metrics of the client; a declared one runs with RunSweep or StreamSweep.");
        using var execution = SweepRunner.Start(model.Value.Model, sweep, workspace.Options);
        var reporter = new SweepReporter(execution, context.Observer, request.PartialResults);
        bool more, isContinued = false;
        do
        {
            more = await workspace.Work.Run(model.Value.Model.Device, Stepwise.Once(execution.Advance), context.Cancellation, isContinued).ConfigureAwait(false);
            if (execution.Question is { } question) question.Answer(await Ask(question, context, ask).ConfigureAwait(false));
            reporter.Tell();
            isContinued = true;
        }
        while (more);
        return SweepMapping.ToProto(execution.TakeResult());
    }

    private async ValueTask<double> Ask(SweepQuestion question, HandlerContext context, Func<MetricQuestion, ValueTask<double>> ask)
    {
        // What a reference stands for goes once the answer is there.
        using var tensors = new ResultTensors(workspace, context);
        return await ask(new MetricQuestion
        {
            Logits = tensors.Give(Shared(question.Logits)), Positions = question.Positions, IsProbe = question.IsProbe,
        }).ConfigureAwait(false);
    }

    private Func<SweepQuestion, double> Metric(long id, HandlerContext context)
    {
        var callbacks = context.Callbacks ?? throw new InterpException(ErrorCode.Unimplemented, "CALLBACK_NOT_HERE",
            $"The metric is a function of the client. Over the network give it through CallbackSweep, or use a declared metric: {ObjectiveMapping.Declared}.")
        {
            Field = "sweep.callback",
        };
        return question =>
        {
            var logits = workspace.Tensors.Add(context.Session, Shared(question.Whole()));
            try
            {
                return MetricReply.Parser.ParseFrom(callbacks.Invoke(id, new MetricCall { Logits = logits.ToRef(), IsProbe = question.IsProbe })).Value;
            }
            finally
            {
                workspace.Tensors.Delete([logits.Number]);
            }
        };
    }

    private static IRunObserver? Observer(long callback, HandlerContext context, bool isSweep)
    {
        if (callback == 0) return context.Observer;
        var callbacks = context.Callbacks ?? throw Fields.Invalid("progress_callback", "CALLBACK_NOT_HERE",
            $"Progress is told to functions in process only; over the network use {(isSweep ? "StreamSweep" : "StreamPlan")}.");
        return new CallbackObserver(callback, callbacks, isSweep);
    }

    private static RunPlanResponse ToResponse(RunResult result, ResultTensors results)
    {
        try
        {
            return ResultMapping.ToProto(result, results.GiveIfAny);
        }
        catch
        {
            // Those that were given already are disposed twice, which does no harm.
            result.Dispose();
            throw;
        }
    }

    private static TorchSharp.torch.Tensor Shared(TorchSharp.torch.Tensor tensor)
    {
        using var scope = TorchSharp.torch.NewDisposeScope();
        return tensor.alias().DetachFromDisposeScope();
    }
}
