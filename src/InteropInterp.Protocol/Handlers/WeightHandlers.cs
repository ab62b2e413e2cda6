using InteropInterp.Circuits.Weights;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>What can be read off weights.</summary>
public sealed class WeightHandlers(Workspace workspace)
{
    public async ValueTask<GetEigenvaluesResponse> GetEigenvalues(GetEigenvaluesRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var isOV = WeightMapping.IsOV(request.Circuit);
        return await call.Run(() =>
        {
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            var found = isOV ? CircuitEigenvalues.FullOV(call.Model) : CircuitEigenvalues.FullQK(call.Model);
            return new GetEigenvaluesResponse
            {
                Real = call.Results.Give(found.real.contiguous().DetachFromDisposeScope()),
                Imaginary = call.Results.Give(found.imag.contiguous().DetachFromDisposeScope()),
                Positivity = call.Results.Give(CircuitEigenvalues.Positivity(found).DetachFromDisposeScope()),
            };
        }).ConfigureAwait(false);
    }

    public async ValueTask<ScoreCompositionResponse> ScoreComposition(ScoreCompositionRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var kind = WeightMapping.ToEngine(request.Kind);
        var (config, samples) = (call.Model.Config, request.HasSamples ? request.Samples : 32);
        return await call.Run(() =>
        {
            var baseline = samples == 0 ? null : CompositionBaseline.Measure(config.ModelWidth, config.HeadWidth, samples, request.Seed);
            return new ScoreCompositionResponse
            {
                Scores = call.Results.Give(CompositionScores.All(call.Model, kind)),
                BaselineMean = baseline?.Mean ?? 0,
                BaselineDeviation = baseline?.Deviation ?? 0,
            };
        }).ConfigureAwait(false);
    }

    public async ValueTask<GetVirtualHeadResponse> GetVirtualHead(GetVirtualHeadRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var heads = WeightMapping.ToEngine(request.Heads);
        var plan = request.Plan is null ? null : PlanMapping.ToEngine(request.Plan, call.References);
        return await call.Run(() =>
        {
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            var found = VirtualHeads.OV(call.Model, heads);
            return new GetVirtualHeadResponse
            {
                A = call.Results.Give(found.A.clone().DetachFromDisposeScope()),
                B = call.Results.Give(found.B.clone().DetachFromDisposeScope()),
                Pattern = plan is null ? null
                    : call.Results.Give(VirtualHeads.Pattern(call.Model, plan, heads, workspace.Options, context.Cancellation)),
            };
        }).ConfigureAwait(false);
    }

    public async ValueTask<GetSingularDirectionsResponse> GetSingularDirections(GetSingularDirectionsRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var source = WeightMapping.ToEngine(request.Source);
        return await call.Run(() =>
        {
            var found = SingularDirections.Of(call.Model, source, request.Layer, request.Head, request.HasCount ? request.Count : 10);
            try
            {
                return new GetSingularDirectionsResponse { Values = call.Results.Give(found.Values), Logits = call.Results.Give(found.Logits) };
            }
            catch
            {
                // The one that was given already is disposed twice, which does no harm.
                found.Dispose();
                throw;
            }
        }).ConfigureAwait(false);
    }

    public async ValueTask<ListTopEntriesResponse> ListTopEntries(ListTopEntriesRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model);
        var (isOV, heads) = (WeightMapping.IsOV(request.Circuit), WeightMapping.ToEngine(request.Heads));
        if (!isOV && heads.Count != 1) throw Fields.Invalid("heads", "VIRTUAL_HEAD", $"A QK circuit is one head's; {heads.Count} are named.");
        return await call.Run(() =>
        {
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            var matrix = isOV ? FullCircuits.OV(call.Model, heads) : FullCircuits.QK(call.Model, heads[0]);
            var found = TopEntries.Of(matrix, request.HasCount ? request.Count : 20, context.Cancellation);
            return new ListTopEntriesResponse { Entries = { found.Select(WeightMapping.ToProto) } };
        }).ConfigureAwait(false);
    }

    public async ValueTask<ListBigramsResponse> ListBigrams(ListBigramsRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model);
        IReadOnlyList<int>? tokens = request.Tokens.Count > 0 ? [.. request.Tokens] : null;
        return await call.Run(() => new ListBigramsResponse
        {
            Bigrams =
            {
                BigramTable.Of(call.Model, tokens, request.HasTop ? request.Top : 5, request.HasPosition ? request.Position : null,
                    context.Cancellation).Select(WeightMapping.ToProto),
            },
        }).ConfigureAwait(false);
    }

    public async ValueTask<ListSkipTrigramsResponse> ListSkipTrigrams(ListSkipTrigramsRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model);
        IReadOnlyList<int>? sources = request.Sources.Count > 0 ? [.. request.Sources] : null;
        return await call.Run(() => new ListSkipTrigramsResponse
        {
            Trigrams =
            {
                SkipTrigrams.Of(call.Model, request.Head, sources, request.HasTop ? request.Top : 5, context.Cancellation)
                    .Select(WeightMapping.ToProto),
            },
        }).ConfigureAwait(false);
    }

    public async ValueTask<MeasureTermsResponse> MeasureTerms(MeasureTermsRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model);
        var rows = request.Rows.Select(PlanMapping.ToEngine).ToList();
        return await call.Run(() =>
        {
            var found = TermImportance.Measure(call.Model, rows, workspace.Options, context.Cancellation);
            return new MeasureTermsResponse
            {
                Losses = { found.Losses }, Marginals = { found.Marginals(Math.Log(call.Model.Config.OutputVocabularySize)) },
            };
        }).ConfigureAwait(false);
    }
}
