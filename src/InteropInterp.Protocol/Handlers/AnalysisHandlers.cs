using InteropInterp.Attribution;
using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Native.Devices;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>Attribution and path patching.</summary>
public sealed class AnalysisHandlers(Workspace workspace)
{
    public async ValueTask<AttributeNodesResponse> AttributeNodes(AttributeNodesRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var model = context.Session.Models.Take(request.Model);
        using var references = new RequestReferences(workspace, context);
        using var results = new ResultTensors(workspace, context, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var patch = AttributionMapping.ToEngine(request.Patch, references);
        var steps = NodePatcher.Start(model.Value.Model, patch, workspace.Options);
        var response = await workspace.Work.Run(
            model.Value.Model.Device, steps.Then(found => ToResponse(found, patch, results)), context.Cancellation).ConfigureAwait(false);
        results.Keep();
        return response;
    }

    public async ValueTask<AttributeEdgesResponse> AttributeEdges(AttributeEdgesRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var model = context.Session.Models.Take(request.Model);
        using var references = new RequestReferences(workspace, context);
        using var results = new ResultTensors(workspace, context, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var steps = EdgePatcher.Start(model.Value.Model, AttributionMapping.ToEngine(request.Patch, references), workspace.Options);
        var response = await workspace.Work.Run(
            model.Value.Model.Device, steps.Then(scores => ToResponse(scores, results)), context.Cancellation).ConfigureAwait(false);
        results.Keep();
        return response;
    }

    public async ValueTask<PatchPathsResponse> PatchPaths(PatchPathsRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var model = context.Session.Models.Take(request.Model);
        using var references = new RequestReferences(workspace, context);
        var steps = PathPatcher.Start(model.Value.Model, PathMapping.ToEngine(request.Patch, references), workspace.Options);
        return await workspace.Work.Run(model.Value.Model.Device, steps.Then(PathMapping.ToProto), context.Cancellation).ConfigureAwait(false);
    }

    private static AttributeNodesResponse ToResponse(NodeAttribution found, Attribution.NodePatch patch, ResultTensors results)
    {
        // Those that were given already are disposed twice, which does no harm.
        try
        {
            return new AttributeNodesResponse
            {
                Sites =
                {
                    patch.Sites.Select(site => new SiteAttribution
                    {
                        Site = SiteMapping.ToProto(site),
                        Axes = { AttributionMapping.AxesOf(site) },
                        Denoising = results.GiveIfAny(found.Denoising?[site]),
                        Noising = results.GiveIfAny(found.Noising?[site]),
                    }),
                },
            };
        }
        catch
        {
            found.Dispose();
            throw;
        }
    }

    private static AttributeEdgesResponse ToResponse(EdgeScores scores, ResultTensors results)
    {
        using var scope = NewDisposeScope();
        var graph = scores.Graph;
        return new AttributeEdgesResponse
        {
            Senders = { graph.Senders.Select(s => s.Name) },
            Receivers = { graph.Receivers.Select(r => r.Name) },
            Scores = results.Give(tensor(scores.Values).DetachFromDisposeScope()),
            Reaching = { Enumerable.Range(0, graph.Receivers.Count).Select(graph.Reaching) },
        };
    }
}
