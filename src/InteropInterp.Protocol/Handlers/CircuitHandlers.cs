using InteropInterp.Circuits;
using InteropInterp.Native.Devices;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>Finding and judging circuits.</summary>
public sealed class CircuitHandlers(Workspace workspace)
{
    public static ValueTask<GetResidualGraphResponse> GetResidualGraph(GetResidualGraphRequest request, HandlerContext context)
    {
        using var model = context.Session.Models.Take(request.Model);
        return new(CircuitMapping.ToProto(new ResidualGraph(model.Value.Model.Config)));
    }

    public async ValueTask<FindCircuitResponse> FindCircuit(FindCircuitRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        Acdc.CheckThreshold(request.Threshold);
        return await call.Run(OnTask(call, request.Task, context, runner =>
            Acdc.Start(runner, request.Threshold, context.Cancellation).Then(found => ToResponse(found, call.Results)))).ConfigureAwait(false);
    }

    public async ValueTask<EvaluateCircuitsResponse> EvaluateCircuits(EvaluateCircuitsRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model);
        if (request.Circuits.Count == 0) throw Fields.Missing("circuits", "at least one circuit");
        if (request.Confirm && request.InsideOnly)
            throw Fields.Invalid("inside_only", "CONFIRM_INSIDE_ONLY", "A confirmatory experiment asks what is left outside too; unset inside_only.");
        if (request.Confirm && request.Task is { AblationCase: not V1.CircuitTask.AblationOneofCase.Corrupt })
            throw Fields.Invalid("task.ablation", "CONFIRM_ABLATION", "A confirmatory experiment ablates by corrupted prompts: set task.corrupt.");
        var graph = new ResidualGraph(call.Model.Config);
        var circuits = request.Circuits.Select((c, i) => CircuitMapping.ToEngine(c, graph, call.References, $"circuits[{i}]")).ToList();
        return await call.Run(OnTask(call, request.Task, context, runner => (request.Confirm
            ? PatchingExperiment.Confirm(runner, circuits)
            : CircuitEvaluation.Start(runner, circuits, !request.InsideOnly)).Then(CircuitMapping.ToProto))).ConfigureAwait(false);
    }

    public async ValueTask<KnockOutNodesResponse> KnockOutNodes(KnockOutNodesRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model);
        var graph = new ResidualGraph(call.Model.Config);
        var circuit = CircuitMapping.ToEngine(request.Circuit, graph, call.References);
        var knockouts = request.Knockouts.Select(set => (IReadOnlyList<Sender>)[.. set.Senders.Select(Sender.Parse)]).ToList();
        if (knockouts.Count == 0) throw Fields.Missing("knockouts", "at least one set of nodes");
        foreach (var node in knockouts.SelectMany(set => set)) graph.IndexOf(node);
        return await call.Run(OnTask(call, request.Task, context, runner =>
            CircuitEvaluation.StartCompleteness(runner, circuit, knockouts).Then(found => new KnockOutNodesResponse
            {
                Knockouts = { found.Select(k => new V1.Knockout { Circuit = k.Circuit, Model = k.Model }) },
            }))).ConfigureAwait(false);
    }

    public async ValueTask<MeasureNodesResponse> MeasureNodes(MeasureNodesRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model);
        var circuit = CircuitMapping.ToEngine(request.Circuit, new ResidualGraph(call.Model.Config), call.References);
        return await call.Run(OnTask(call, request.Task, context, runner =>
            CircuitEvaluation.StartMinimality(runner, circuit).Then(found => new MeasureNodesResponse
            {
                Nodes = { found.Select(n => new NodeChange { Node = n.Node.Name, Change = n.Change }) },
            }))).ConfigureAwait(false);
    }

    // The first step runs the prompts, and what the ablation needs.
    private IStepwise<TResponse> OnTask<TResponse>(
        ModelCall call, V1.CircuitTask? message, HandlerContext context, Func<CircuitRunner, IStepwise<TResponse>> start)
    {
        var task = CircuitMapping.ToEngine(message, call.References);
        return Stepwise.After(() => new CircuitRunner(call.Model, task, workspace.Options, context.Cancellation), start);
    }

    private static FindCircuitResponse ToResponse(AcdcResult found, ResultTensors results)
    {
        using var scope = NewDisposeScope();
        return new FindCircuitResponse
        {
            Mask = results.Give(CircuitMapping.Mask(found.Circuit).DetachFromDisposeScope()),
            Effects = results.Give(tensor(found.Effects.Values, device: CPU).DetachFromDisposeScope()),
            Distance = found.Distance,
            Runs = found.Runs,
        };
    }
}
