using InteropInterp.Plans.Metrics;
using TorchSharp;

namespace InteropInterp.Plans;

/// <summary>What gradients are of: a declared metric of the logits, or given gradients at points (a vector-Jacobian product).</summary>
public sealed record Objective
{
    /// <summary>Averaged over rows.</summary>
    public Metric? Metric { get; init; }

    /// <summary>Hook point name to a tensor of the activation's shape: d(anything)/d(activation).</summary>
    public IReadOnlyDictionary<string, torch.Tensor> Cotangents { get; init; } = new Dictionary<string, torch.Tensor>();
}
