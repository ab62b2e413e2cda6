using InteropInterp.Caches;
using InteropInterp.Lenses;
using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.V1;
using Plan = InteropInterp.Plans.Plan;

namespace InteropInterp.Protocol.Handlers;

/// <summary>Lenses and their training, and direct logit attribution.</summary>
public sealed class LensHandlers(Workspace workspace)
{
    public async ValueTask<ReadLensResponse> ReadLens(ReadLensRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var taken = context.Session.Models.Take(request.Model);
        using var references = new RequestReferences(workspace, context);
        using var results = new ResultTensors(workspace, context, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var model = taken.Value.Model;
        var plan = PlanMapping.ToEngine(request.Plan, references);
        var options = LensMapping.ToEngine(request.Options, "options");
        using var tuned = await Tuned(request, references, model, context).ConfigureAwait(false);
        options = options with { Tuned = tuned };
        using var room = workspace.Tensors.Reserve(context.Session, LogitBytes(model, plan, options));
        var response = await workspace.Work.Run(model.Device, Stepwise.Once(() =>
        {
            var found = LogitLens.Run(model, plan, options, workspace.Options, context.Cancellation);
            room.Dispose();
            return Given(found, () => LensMapping.ToProto(found, results.GiveIfAny));
        }), context.Cancellation).ConfigureAwait(false);
        results.Keep();
        return response;
    }

    public async ValueTask<AttributeLogitsResponse> AttributeLogits(AttributeLogitsRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var taken = context.Session.Models.Take(request.Model);
        using var references = new RequestReferences(workspace, context);
        using var results = new ResultTensors(workspace, context, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var model = taken.Value.Model;
        var plan = PlanMapping.ToEngine(request.Plan, references);
        var options = LensMapping.ToEngine(request.Attribution, "attribution");
        var response = await workspace.Work.Run(model.Device, Stepwise.Once(() =>
        {
            var found = DirectLogitAttribution.Run(model, plan, options, workspace.Options, context.Cancellation);
            return Given(found, () => new AttributeLogitsResponse { Labels = { found.Labels }, Values = results.Give(found.Values) });
        }), context.Cancellation).ConfigureAwait(false);
        results.Keep();
        return response;
    }

    public async ValueTask<TrainTunedLensResponse> TrainTunedLens(TrainTunedLensRequest request, HandlerContext context)
    {
        using var call = new ModelCall(workspace, context, request.Model, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        var rows = request.Rows.Select(PlanMapping.ToEngine).ToList();
        var training = TunedLensTrainer.Start(call.Model, rows, WeightMapping.ToEngine(request.Options), workspace.Options, context.Cancellation);
        return await call.Run(training.Then(trained => Given(trained, () =>
        {
            var response = new TrainTunedLensResponse { Losses = { trained.Losses } };
            foreach (var (name, translator) in trained.Lens.Translators) response.Translators[name] = call.Results.Give(translator);
            return response;
        }))).ConfigureAwait(false);
    }

    private async ValueTask<TunedLens?> Tuned(
        ReadLensRequest request, RequestReferences references, TransformerModel model, HandlerContext context)
    {
        var path = request.TunedLens;
        if (path.Length > 0 && request.Translators.Count > 0)
            throw Fields.Invalid("translators", "TWO_LENSES", "The request has a tuned_lens and translators; one of them is expected.");
        if (path.Length > 0)
            return await workspace.Work.Aside(
                () => TunedLens.Load(workspace.Roots.ToRead(path), model), context.Cancellation).ConfigureAwait(false);
        if (request.Translators.Count == 0) return null;
        return TunedLens.Of(model, request.Translators.ToDictionary(t => t.Key, t => references.Tensor(t.Value, $"translators[\"{t.Key}\"]")));
    }

    // All else that a lens keeps is small beside the logits.
    private static long LogitBytes(TransformerModel model, Plan plan, Lenses.LensOptions options)
    {
        if (!options.KeepLogits) return 0;
        var places = plan.Rows.Sum(row => (long)options.Positions.Resolve(row.Length, "position").Length);
        var streams = model.Config.LayerCount * (options.IncludeMiddle ? 2 : 1) + 1;
        return places * streams * model.Config.OutputVocabularySize * model.ElementSize;
    }

    // Tensors that were given already are disposed twice, which does no harm.
    private static TResponse Given<TResponse>(IDisposable result, Func<TResponse> respond)
    {
        try
        {
            return respond();
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }
}
