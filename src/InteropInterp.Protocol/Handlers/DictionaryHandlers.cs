using InteropInterp.Dictionaries;
using InteropInterp.Dictionaries.Formats;
using InteropInterp.Native.Devices;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace InteropInterp.Protocol.Handlers;

/// <summary>Loads dictionaries, and lets activations through them.</summary>
public sealed class DictionaryHandlers(Workspace workspace)
{
    public async ValueTask<LoadDictionaryResponse> LoadDictionary(LoadDictionaryRequest request, HandlerContext context)
    {
        if (request.Path.Length == 0) throw Fields.Missing("path", "a dictionary's folder or file");
        var options = DictionaryMapping.ToEngine(request, workspace.Device);
        using var place = context.Session.BeginRun();
        var share = await workspace.Work.Aside(
            () => Load(workspace.Roots.ToRead(request.Path), options, request.FoldWDecNorm), context.Cancellation).ConfigureAwait(false);
        var handle = new DictionaryHandle(share, workspace.Tensors);
        return new LoadDictionaryResponse { Dictionary = DictionaryMapping.ToProto(context.Session.Dictionaries.Add(handle), handle) };
    }

    public static ValueTask<GetDictionaryResponse> GetDictionary(GetDictionaryRequest request, HandlerContext context)
    {
        using var dictionary = context.Session.Dictionaries.Take(request.Name);
        return new(new GetDictionaryResponse { Dictionary = DictionaryMapping.ToProto(request.Name, dictionary.Value) });
    }

    public static ValueTask<CloseDictionaryResponse> CloseDictionary(CloseDictionaryRequest request, HandlerContext context)
    {
        context.Session.Dictionaries.Close(request.Name);
        return new(new CloseDictionaryResponse());
    }

    public async ValueTask<EncodeResponse> Encode(EncodeRequest request, HandlerContext context)
    {
        using var references = new RequestReferences(workspace, context);
        var dictionary = references.Dictionary(request.Dictionary);
        var activations = references.Tensor(request.Activations, "activations");
        var codes = await Run(dictionary, context, request.HasInlineLimitBytes ? request.InlineLimitBytes : null,
            Bytes(dictionary, activations.numel() / dictionary.Config.InputWidth, dictionary.Config.Width), () => dictionary.Encode(activations)).ConfigureAwait(false);
        return new EncodeResponse { Codes = codes };
    }

    public async ValueTask<DecodeResponse> Decode(DecodeRequest request, HandlerContext context)
    {
        using var references = new RequestReferences(workspace, context);
        var dictionary = references.Dictionary(request.Dictionary);
        var codes = references.Tensor(request.Codes, "codes");
        var like = request.Activations is null ? null : references.Tensor(request.Activations, "activations");
        var activations = await Run(dictionary, context, request.HasInlineLimitBytes ? request.InlineLimitBytes : null,
            Bytes(dictionary, codes.numel() / dictionary.Config.Width, dictionary.Config.InputWidth), () => dictionary.Decode(codes, like)).ConfigureAwait(false);
        return new DecodeResponse { Activations = activations };
    }

    public ValueTask<GetDictionaryWeightsResponse> GetDictionaryWeights(GetDictionaryWeightsRequest request, HandlerContext context)
    {
        using var dictionary = context.Session.Dictionaries.Take(request.Dictionary);
        using var results = new ResultTensors(workspace, context);
        using var scope = NewDisposeScope();
        var response = new GetDictionaryWeightsResponse();
        foreach (var (name, weight) in SaeLensFolder.StateDict(dictionary.Value.Dictionary)) response.Weights[name] = results.Give(weight, dictionary.Value.Weights);
        results.Keep();
        return new(response);
    }

    // One step on the dictionary's device, with room for its result beforehand.
    private async ValueTask<V1.Tensor> Run(SparseDictionary dictionary, HandlerContext context, long? inlineLimit, long bytes, Func<Tensor> compute)
    {
        using var place = context.Session.BeginRun();
        using var room = workspace.Tensors.Reserve(context.Session, bytes);
        using var results = new ResultTensors(workspace, context, inlineLimit);
        var given = await workspace.Work.Run(dictionary.Device, Stepwise.Once(() =>
        {
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            var result = compute().contiguous();
            room.Dispose();
            return results.Give(result.DetachFromDisposeScope());
        }), context.Cancellation).ConfigureAwait(false);
        results.Keep();
        return given;
    }

    private DictionaryShare Load(string path, DictionaryOptions options, bool fold)
    {
        var share = workspace.Dictionaries.Load(path, options);
        if (!fold) return share;
        using (share) return workspace.Dictionaries.Add(share.Dictionary.FoldDecoderNorms());
    }

    private static long Bytes(SparseDictionary dictionary, long positions, long width) => positions * width * (dictionary.DataType == ScalarType.Float64 ? 8 : 4);
}
