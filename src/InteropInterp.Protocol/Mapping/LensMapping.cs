using InteropInterp.Caches;
using InteropInterp.Lenses;
using InteropInterp.Plans;
using InteropInterp.Protocol.Errors;
using Tensor = TorchSharp.torch.Tensor;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Lenses, and direct logit attribution.</summary>
public static class LensMapping
{
    private static readonly Positions Last = Positions.At(-1);

    /// <summary>Without translators, which are read from a file.</summary>
    public static LensOptions ToEngine(V1.LensOptions? message, string field)
    {
        if (message is null) return new LensOptions();
        var options = new LensOptions
        {
            Positions = SelectorMapping.ToEngine(message.Positions, $"{field}.positions") ?? Last,
            Tokens = [.. message.Tokens.Select(list => (IReadOnlyList<int>)[.. list.Values])],
            IncludeMiddle = message.IncludeMiddle,
            KeepLogits = message.KeepLogits,
        };
        return message.HasTopK ? options with { TopK = message.TopK } : options;
    }

    public static V1.LensOptions ToProto(LensOptions value) => new()
    {
        Positions = SelectorMapping.ToProto(value.Positions),
        Tokens = { value.Tokens.Select(list => new V1.IndexList { Values = { list } }) },
        TopK = value.TopK,
        IncludeMiddle = value.IncludeMiddle,
        KeepLogits = value.KeepLogits,
    };

    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_ENUM_VALUE.</exception>
    public static DirectLogitAttributionOptions ToEngine(V1.LogitAttribution? message, string field)
    {
        if (message is null || message.Tokens.Count == 0) throw Fields.Missing($"{field}.tokens", "a token for all rows, or one for each,");
        return new DirectLogitAttributionOptions([.. message.Tokens])
        {
            Incorrect = message.Incorrect.Count > 0 ? [.. message.Incorrect] : null,
            Unit = message.Unit switch
            {
                V1.AttributionUnit.Unspecified or V1.AttributionUnit.Component => AttributionUnit.Component,
                V1.AttributionUnit.Layer => AttributionUnit.Layer,
                V1.AttributionUnit.Head => AttributionUnit.Head,
                V1.AttributionUnit.Neuron => AttributionUnit.Neuron,
                var other => throw Fields.UnknownValue($"{field}.unit", other),
            },
            Positions = SelectorMapping.ToEngine(message.Positions, $"{field}.positions") ?? Last,
        };
    }

    public static V1.LogitAttribution ToProto(DirectLogitAttributionOptions value) => new()
    {
        Tokens = { value.Tokens },
        Incorrect = { value.Incorrect ?? [] },
        Unit = value.Unit switch
        {
            AttributionUnit.Layer => V1.AttributionUnit.Layer,
            AttributionUnit.Head => V1.AttributionUnit.Head,
            AttributionUnit.Neuron => V1.AttributionUnit.Neuron,
            _ => V1.AttributionUnit.Component,
        },
        Positions = SelectorMapping.ToProto(value.Positions),
    };

    /// <summary>The response for a result, whose tensors are taken over one by one; those of a failed response go with the result.</summary>
    public static V1.ReadLensResponse ToProto(LensResult value, Func<Tensor?, V1.Tensor?> give) => new()
    {
        Labels = { value.Labels },
        Entropy = give(value.Entropy),
        KlToFinal = give(value.KlToFinal),
        TokenLogits = give(value.TokenLogits),
        TokenLogProbs = give(value.TokenLogProbs),
        TokenRanks = give(value.TokenRanks),
        TopTokens = give(value.TopTokens),
        TopLogProbs = give(value.TopLogProbs),
        Logits = give(value.Logits),
    };
}
