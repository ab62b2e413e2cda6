using InteropInterp.Heads;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.V1;
using static InteropInterp.Protocol.V1.DetectHeadsRequest;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>What heads attend to.</summary>
public sealed class HeadHandlers(Workspace workspace)
{
    public async ValueTask<DetectHeadsResponse> DetectHeads(DetectHeadsRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model);
        var rows = request.Rows.Select(PlanMapping.ToEngine).ToList();
        var options = new HeadDetectorOptions
        {
            Heads = request.Heads.Count > 0 ? [.. request.Heads.Select(h => (h.Layer, h.Head))] : null,
            ExcludeBos = request.ExcludeBos,
            ExcludeCurrentToken = request.ExcludeCurrentToken,
            Error = WeightMapping.ToEngine(request.Error),
        };
        var pattern = request.WantedCase switch
        {
            WantedOneofCase.Pattern => call.References.Tensor(request.Pattern, "pattern"),
            WantedOneofCase.Kind => null,
            _ => throw Fields.Missing("wanted", "a kind of head or a pattern"),
        };
        if (pattern is not null && rows.Count != 1)
            throw Fields.Invalid("rows", "PATTERN_OF_ONE_ROW", $"A pattern belongs to one row; {rows.Count} are given.");
        return await call.Run(() => new DetectHeadsResponse
        {
            Scores = Give(call, pattern is null
                ? HeadDetector.Detect(call.Model, rows, request.Kind, options, workspace.Options, context.Cancellation)
                : HeadDetector.Detect(call.Model, rows[0], pattern, options, workspace.Options, context.Cancellation)),
        }).ConfigureAwait(false);
    }

    public async ValueTask<ScoreHeadsResponse> ScoreHeads(ScoreHeadsRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model);
        if (request.Segments.Count == 0) throw Fields.Missing("segments", "at least one segment of tokens");
        var segments = request.Segments.Select(s => s.Values.ToArray()).ToList();
        int? start = request.HasStart ? request.Start : null;
        var repeats = request.HasRepeats ? request.Repeats : 4;
        return await call.Run(() =>
        {
            var (model, options, cancellation) = (call.Model, workspace.Options, context.Cancellation);
            // The stricter checks come first, before anything runs.
            var copying = CopyingByHead.Measure(model, segments, start, options, cancellation);
            var prefix = PrefixMatching.Measure(model, segments, start, repeats, options, cancellation);
            var found = HeadScores.Measure(model, RepeatedTokens.Of(segments, start), options, cancellation);
            double[][] ByLayer(IReadOnlyList<double> scores) => [.. scores.Chunk(found.Heads)];
            return new ScoreHeadsResponse
            {
                PreviousToken = Give(call, ByLayer(found.PreviousToken)),
                DuplicateToken = Give(call, ByLayer(found.DuplicateToken)),
                Induction = Give(call, ByLayer(found.Induction)),
                PrefixMatching = Give(call, prefix),
                Copying = Give(call, copying),
            };
        }).ConfigureAwait(false);
    }

    public async ValueTask<WeighAttentionResponse> WeighAttention(WeighAttentionRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var plan = PlanMapping.ToEngine(request.Plan, call.References);
        var layers = (SelectorMapping.ToEngine(request.Layers, "layers") ?? Plans.Positions.All).Resolve(call.Model.Config.LayerCount, "layer");
        var weighting = WeightMapping.ToEngine(request.By);
        return await call.Run(() => new WeighAttentionResponse
        {
            Layers = { layers },
            Weights = call.Results.Give(
                WeightedAttention.Of(call.Model, plan, layers, weighting, workspace.Options, context.Cancellation)),
        }).ConfigureAwait(false);
    }

    // [layer][head] as [layer, head] in double precision.
    private static V1.Tensor Give(ModelCall call, double[][] scores)
    {
        using var scope = NewDisposeScope();
        return call.Results.Give(tensor(scores.SelectMany(s => s).ToArray(), [scores.Length, scores.FirstOrDefault()?.Length ?? 0]).DetachFromDisposeScope());
    }
}
