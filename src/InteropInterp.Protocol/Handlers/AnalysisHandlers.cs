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
        using var call = new ModelCall(workspace, context, request.Model, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var patch = AttributionMapping.ToEngine(request.Patch, call.References);
        var steps = NodePatcher.Start(call.Model, patch, workspace.Options);
        return await call.Run(steps.Then(found => ToResponse(found, patch, call.Results))).ConfigureAwait(false);
    }

    public async ValueTask<AttributeEdgesResponse> AttributeEdges(AttributeEdgesRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var steps = EdgePatcher.Start(call.Model, AttributionMapping.ToEngine(request.Patch, call.References), workspace.Options);
        return await call.Run(steps.Then(scores => ToResponse(scores, call.Results))).ConfigureAwait(false);
    }

    public async ValueTask<PatchPathsResponse> PatchPaths(PatchPathsRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model);
        var steps = PathPatcher.Start(call.Model, PathMapping.ToEngine(request.Patch, call.References), workspace.Options);
        return await call.Run(steps.Then(PathMapping.ToProto)).ConfigureAwait(false);
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
            Scores = results.Give(tensor(scores.Values, device: CPU).DetachFromDisposeScope()),
            Reaching = { Enumerable.Range(0, graph.Receivers.Count).Select(graph.Reaching) },
        };
    }
}
