using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Tokens;
using TorchSharp;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Models, how they are loaded, and their hook points.</summary>
public static class ModelMapping
{
    // TransformerLens's words.
    private static readonly Dictionary<HookAxis, string> AxisNames = new()
    {
        [HookAxis.Batch] = "batch",
        [HookAxis.Position] = "pos",
        [HookAxis.KeyPosition] = "key_pos",
        [HookAxis.Head] = "head",
        [HookAxis.KeyHead] = "key_head",
        [HookAxis.ModelWidth] = "d_model",
        [HookAxis.HeadWidth] = "d_head",
        [HookAxis.MlpWidth] = "d_mlp",
        [HookAxis.Vocabulary] = "d_vocab_out",
        [HookAxis.One] = "1",
    };

    /// <param name="device">Where a message names none.</param>
    /// <exception cref="InterpException">UNKNOWN_ENUM_VALUE.</exception>
    public static LoadOptions ToEngine(V1.LoadOptions? message, string device = "cpu", string field = "options") => message is null ? ToEngine(new V1.LoadOptions(), device, field) : new LoadOptions
    {
        Processing = ToEngine(message.Processing),
        DataType = message.DataType == V1.DataType.Unspecified ? torch.ScalarType.Float32 : DataTypes.ToEngine(message.DataType, $"{field}.data_type"),
        Device = message.Device.Length > 0 ? message.Device : device,
        FirstLayers = message.HasFirstNLayers ? message.FirstNLayers : null,
        ContextLength = message.HasNCtx ? message.NCtx : null,
        DefaultPrependBos = message.HasDefaultPrependBos ? message.DefaultPrependBos : null,
    };

    public static V1.LoadOptions ToProto(LoadOptions value)
    {
        var message = new V1.LoadOptions { Processing = ToProto(value.Processing), DataType = DataTypes.ToProto(value.DataType), Device = value.Device };
        if (value.FirstLayers is { } layers) message.FirstNLayers = layers;
        if (value.ContextLength is { } context) message.NCtx = context;
        if (value.DefaultPrependBos is { } bos) message.DefaultPrependBos = bos;
        return message;
    }

    public static ProcessingOptions ToEngine(V1.Processing? message) => message is null ? ProcessingOptions.None : new ProcessingOptions
    {
        FoldLayerNorm = message.FoldLn,
        CenterWritingWeights = message.CenterWritingWeights,
        CenterUnembed = message.CenterUnembed,
        FoldValueBiases = message.FoldValueBiases,
    };

    public static V1.Processing ToProto(ProcessingOptions value) => new()
    {
        FoldLn = value.FoldLayerNorm,
        CenterWritingWeights = value.CenterWritingWeights,
        CenterUnembed = value.CenterUnembed,
        FoldValueBiases = value.FoldValueBiases,
    };

    public static ModelFlags ToEngine(V1.ModelFlags? message) => message is null ? ModelFlags.None : new ModelFlags
    {
        UseAttnResult = message.UseAttnResult,
        UseSplitQkvInput = message.UseSplitQkvInput,
        UseAttnIn = message.UseAttnIn,
        UseHookMlpIn = message.UseHookMlpIn,
        UseHookTokens = message.UseHookTokens,
        UngroupGroupedQueryAttention = message.UngroupGroupedQueryAttention,
    };

    public static V1.ModelFlags? ToProto(ModelFlags value) => value == ModelFlags.None ? null : new V1.ModelFlags
    {
        UseAttnResult = value.UseAttnResult,
        UseSplitQkvInput = value.UseSplitQkvInput,
        UseAttnIn = value.UseAttnIn,
        UseHookMlpIn = value.UseHookMlpIn,
        UseHookTokens = value.UseHookTokens,
        UngroupGroupedQueryAttention = value.UngroupGroupedQueryAttention,
    };

    /// <summary>Null where it is not said.</summary>
    /// <exception cref="InterpException">UNKNOWN_ENUM_VALUE.</exception>
    public static PaddingSide? ToEngine(V1.PaddingSide message, string field) => message switch
    {
        V1.PaddingSide.Unspecified => null,
        V1.PaddingSide.Right => PaddingSide.Right,
        V1.PaddingSide.Left => PaddingSide.Left,
        _ => throw Fields.UnknownValue(field, message),
    };

    public static V1.PaddingSide ToProto(PaddingSide value) => value == PaddingSide.Left ? V1.PaddingSide.Left : V1.PaddingSide.Right;

    public static V1.Model ToProto(string name, ModelHandle handle) => new()
    {
        Name = name,
        ConfigJson = TransformerConfigJson.Write(handle.Model.Config),
        Digest = handle.Share.Digest,
        DataType = DataTypes.ToProto(handle.Model.DataType),
        Device = Devices.Name(handle.Model.Device),
        Processing = ToProto(handle.Model.Processing),
        Tokenizer = handle.HasTokenizer ? ToProto(handle.Tokenizer) : null,
        WeightBytes = handle.Model.WeightBytes,
    };

    public static V1.HookPoint ToProto(HookPoint point, HookCatalogue catalogue)
    {
        var axes = catalogue.Axes(point);
        return new V1.HookPoint
        {
            Name = point.Name,
            Axes = { axes.Select(a => AxisNames[a]) },
            Shape = { axes.Select(a => catalogue.Size(a) ?? -1) },
            Aliases = { catalogue.Aliases(point) },
        };
    }

    private static V1.Tokenizer ToProto(ModelTokenizer value)
    {
        var message = new V1.Tokenizer
        {
            VocabularySize = value.Tokenizer.VocabularySize,
            DefaultPrependBos = value.DefaultPrependBos,
            DefaultPaddingSide = ToProto(value.DefaultPaddingSide),
        };
        if (value.BosId is { } bos) message.BosTokenId = bos;
        if (value.EosId is { } eos) message.EosTokenId = eos;
        if (value.PadId is { } pad) message.PadTokenId = pad;
        return message;
    }
}
