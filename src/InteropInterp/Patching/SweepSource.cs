using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>What replaced parts are replaced with.</summary>
public abstract record SweepSource;

/// <summary>The activations of another run: clean prompts into corrupted ones, or the other way round.</summary>
/// <param name="Run">As many rows as the sweep's, each as long.</param>
public sealed record SweepFromRun(Plan Run) : SweepSource;

/// <summary>Activations that are there already: a cache.</summary>
/// <param name="Activations">By hook point name, each of the swept site's shape, for every layer that is swept.</param>
public sealed record SweepFromCache(IReadOnlyDictionary<string, Tensor> Activations) : SweepSource;

/// <summary>Zeros.</summary>
public sealed record SweepZero : SweepSource;
