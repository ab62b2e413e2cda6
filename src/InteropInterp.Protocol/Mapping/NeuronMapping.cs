using InteropInterp.Neurons;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Neurons: the tokens they speak for, and sparse probes.</summary>
public static class NeuronMapping
{
    /// <exception cref="InterpException">UNKNOWN_ENUM_VALUE.</exception>
    public static SparseProbeOptions ToEngine(V1.FitSparseProbesRequest message)
    {
        var defaults = new SparseProbeOptions();
        return defaults with
        {
            Sizes = message.Sizes.Count > 0 ? [.. message.Sizes] : defaults.Sizes,
            Selection = message.Selection switch
            {
                V1.ProbeSelection.Unspecified or V1.ProbeSelection.MeanDifference => ProbeSelection.MeanDifference,
                V1.ProbeSelection.L1 => ProbeSelection.L1,
                _ => throw Fields.UnknownValue("selection", message.Selection),
            },
            C = message.HasC ? message.C : defaults.C,
            TestShare = message.HasTestShare ? message.TestShare : defaults.TestShare,
            Groups = message.Groups.Count > 0 ? [.. message.Groups] : null,
            Seed = message.Seed,
        };
    }

    public static V1.WeighNeuronsResponse ToProto(IReadOnlyList<NeuronTokens> found) => new()
    {
        Neurons =
        {
            found.Select(n => new V1.NeuronTokens
            {
                Neuron = n.Neuron, Promoted = { n.Promoted.Select(ToProto) }, Suppressed = { n.Suppressed.Select(ToProto) },
            }),
        },
    };

    public static V1.FitSparseProbesResponse ToProto(IReadOnlyList<SparseProbe> found) => new()
    {
        Probes =
        {
            found.Select(p => new V1.SparseProbe
            {
                Neurons = { p.Neurons }, Weights = { p.Weights }, Bias = p.Bias, Train = ToProto(p.Train), Test = ToProto(p.Test),
            }),
        },
    };

    private static V1.TokenWeight ToProto(TokenWeight value) => new() { Token = value.Token, Weight = value.Weight };

    private static V1.ProbeQuality ToProto(ProbeQuality value) => new()
    {
        Accuracy = value.Accuracy, Precision = value.Precision, Recall = value.Recall, F1 = value.F1,
    };
}
