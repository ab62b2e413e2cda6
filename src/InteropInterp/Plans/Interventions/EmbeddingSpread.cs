using System.Runtime.CompilerServices;
using InteropInterp.Models;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>The standard deviation of the entries of a model's token embedding, computed once.</summary>
internal static class EmbeddingSpread
{
    private static readonly ConditionalWeakTable<TransformerModel, StrongBox<double>> Known = [];

    public static double Of(TransformerModel model) => Known.GetValue(model, Measure).Value;

    private static StrongBox<double> Measure(TransformerModel model)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        return new StrongBox<double>(model.Weights.Embed.to(ScalarType.Float64).std(unbiased: false).item<double>());
    }
}
