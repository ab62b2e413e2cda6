using InteropInterp.Native.Devices;
using InteropInterp.Neurons;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>What single neurons say and know.</summary>
public sealed class NeuronHandlers(Workspace workspace)
{
    public async ValueTask<WeighNeuronsResponse> WeighNeurons(WeighNeuronsRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var model = context.Session.Models.Take(request.Model);
        var found = await workspace.Work.Run(model.Value.Model.Device, Stepwise.Once(() =>
            NeuronLogits.Top(model.Value.Model, request.Layer, [.. request.Neurons], request.HasK ? request.K : 10)), context.Cancellation).ConfigureAwait(false);
        return NeuronMapping.ToProto(found);
    }

    public async ValueTask<FitSparseProbesResponse> FitSparseProbes(FitSparseProbesRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var references = new RequestReferences(workspace, context);
        var activations = references.Tensor(request.Activations, "activations");
        var options = NeuronMapping.ToEngine(request);
        var found = await workspace.Work.Run(CPU, Stepwise.Once(() =>
            SparseProbing.Fit(activations, [.. request.Labels], options, context.Cancellation)), context.Cancellation).ConfigureAwait(false);
        return NeuronMapping.ToProto(found);
    }
}
