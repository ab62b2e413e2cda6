using System.Globalization;
using Google.Protobuf.Collections;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>Loads models and tells about them.</summary>
public sealed class ModelHandlers(Workspace workspace)
{
    private const int DefaultPage = 50, LargestPage = 1000;

    public async ValueTask<LoadModelResponse> LoadModel(LoadModelRequest request, HandlerContext context)
    {
        if (request.Path.Length == 0) throw Fields.Missing("path", "a model's path or name");
        var options = ModelMapping.ToEngine(request.Options, workspace.Device);
        using var place = context.Session.BeginRun();
        var share = await workspace.Work.Aside(
            () => workspace.Models.Load(workspace.Roots.ToRead(request.Path), options, context.Cancellation), context.Cancellation).ConfigureAwait(false);
        return new LoadModelResponse { Model = Add(share, context) };
    }

    public async ValueTask<CreateModelResponse> CreateModel(CreateModelRequest request, HandlerContext context)
    {
        var config = TransformerConfigJson.Parse(request.ConfigJson, "config_json", strict: true);
        var options = ModelMapping.ToEngine(request.Options, workspace.Device);
        if (workspace.Models.MaxBytes is { } most) workspace.Models.RequireRoom(config.ModelName, ModelSize.Of(config, options.DataType, enough: most));
        using var place = context.Session.BeginRun();
        using var source = request.TokenizerOf.Length > 0 ? context.Session.Models.Take(request.TokenizerOf) : null;
        var tokenizer = source?.Value.Tokenizer.Tokenizer;
        using var references = new RequestReferences(workspace, context);
        var weights = request.StateDict.ToDictionary(w => w.Key, w => references.Tensor(w.Value, $"state_dict[\"{w.Key}\"]"));
        var share = await workspace.Work.Aside(() => workspace.Models.Add(
            weights.Count == 0 ? ModelLoader.Random(config, options) : ModelLoader.FromStateDict(config, weights, options, context.Cancellation),
            tokenizer), context.Cancellation).ConfigureAwait(false);
        return new CreateModelResponse { Model = Add(share, context) };
    }

    public static ValueTask<ListModelsResponse> ListModels(ListModelsRequest request, HandlerContext context)
    {
        if (request.PageSize < 0) throw Fields.Invalid("page_size", "INVALID_PAGE", $"page_size is {request.PageSize}; 0 or more is expected.");
        var after = 0L;
        if (request.PageToken.Length > 0 && !long.TryParse(request.PageToken, NumberStyles.None, CultureInfo.InvariantCulture, out after))
            throw Fields.Invalid("page_token", "INVALID_PAGE", "page_token is none that this server gave.");
        var size = request.PageSize == 0 ? DefaultPage : Math.Min(request.PageSize, LargestPage);
        var rest = context.Session.Models.Take(after, size + 1);
        try
        {
            var response = new ListModelsResponse { Models = { rest.Take(size).Select(e => ModelMapping.ToProto(e.Key, e.Value.Value)) } };
            if (rest.Count > size) response.NextPageToken = ResourceName.NumberOf("models", rest[size - 1].Key)!.Value.ToString(CultureInfo.InvariantCulture);
            return new(response);
        }
        finally
        {
            foreach (var use in rest) use.Value.Dispose();
        }
    }

    public static ValueTask<GetModelResponse> GetModel(GetModelRequest request, HandlerContext context)
    {
        using var model = context.Session.Models.Take(request.Name);
        return new(new GetModelResponse { Model = ModelMapping.ToProto(request.Name, model.Value) });
    }

    public static ValueTask<CloseModelResponse> CloseModel(CloseModelRequest request, HandlerContext context)
    {
        context.Session.Models.Close(request.Name);
        return new(new CloseModelResponse());
    }

    public async ValueTask<SaveModelResponse> SaveModel(SaveModelRequest request, HandlerContext context)
    {
        using var model = context.Session.Models.Take(request.Name);
        if (request.Path.Length == 0) throw Fields.Missing("path", "where to save");
        return await workspace.Work.Aside(() =>
        {
            ModelSaver.Save(model.Value.Model, workspace.Roots.ToWrite(request.Path));
            return new SaveModelResponse();
        }, context.Cancellation).ConfigureAwait(false);
    }

    public static ValueTask<ListHookPointsResponse> ListHookPoints(ListHookPointsRequest request, HandlerContext context)
    {
        using var model = context.Session.Models.Take(request.Model);
        var catalogue = new HookCatalogue(model.Value.Model.Config, ModelMapping.ToEngine(request.Flags));
        return new(new ListHookPointsResponse { HookPoints = { catalogue.Points.Select(p => ModelMapping.ToProto(p, catalogue)) } });
    }

    public static ValueTask<ListWeightsResponse> ListWeights(ListWeightsRequest request, HandlerContext context)
    {
        using var model = context.Session.Models.Take(request.Model);
        var weights = model.Value.Model.StateDict;
        return new(new ListWeightsResponse { Weights = { weights.Names.Select(n => new Weight { Name = n, Shape = { weights.Shape(n) } }) } });
    }

    public ValueTask<GetWeightsResponse> GetWeights(GetWeightsRequest request, HandlerContext context)
    {
        using var model = context.Session.Models.Take(request.Model);
        using var results = new ResultTensors(workspace, context);
        using var scope = NewDisposeScope();
        var weights = model.Value.Model.StateDict;
        var response = new GetWeightsResponse();
        foreach (var name in Wanted(request.Names, [.. weights.Names])) response.Weights[name] = results.Give(weights[name], model.Value.Weights);
        results.Keep();
        return new(response);
    }

    private static IEnumerable<string> Wanted(RepeatedField<string> names, IReadOnlyList<string> all)
    {
        if (names.Count == 0) return all;
        return names.SelectMany(name =>
        {
            if (!HookPattern.IsPattern(name)) return [name];
            var pattern = new HookPattern(name);
            var matches = all.Where(pattern.Matches).ToList();
            return matches.Count > 0 ? matches : throw InterpException.Unknown("UNKNOWN_WEIGHT", "weight", name, all);
        }).Distinct();
    }

    private Model Add(ModelShare share, HandlerContext context)
    {
        var handle = new ModelHandle(share, workspace.Tensors);
        return ModelMapping.ToProto(context.Session.Models.Add(handle), handle);
    }
}
