using InteropInterp.Generation;
using InteropInterp.Hooks;
using InteropInterp.Plans.Interventions;
using InteropInterp.Tokens;
using TorchSharp;

namespace InteropInterp.Plans;

/// <summary>
/// Everything a user asks for, as data: checked before it runs, the same from C#, Python and the wire. Tensors in it are
/// borrowed until the run has ended.
/// </summary>
public sealed record Plan
{
    /// <summary>The sequences; empty where <see cref="Residual"/> is given.</summary>
    public IReadOnlyList<Row> Rows { get; init; } = [];

    /// <summary>On which side shorter rows are padded. It changes no number of any row.</summary>
    public PaddingSide PaddingSide { get; init; } = PaddingSide.Right;

    /// <summary>A residual stream [rows, pos, d_model] to start from, at <see cref="StartAtLayer"/>, instead of tokens.</summary>
    public torch.Tensor? Residual { get; init; }

    /// <summary>The first block to run (negative: from the end); needs <see cref="Residual"/>.</summary>
    public int? StartAtLayer { get; init; }

    /// <summary>The block to stop before (negative: from the end): the run then gives the residual stream there.</summary>
    public int? StopAtLayer { get; init; }

    /// <summary>Which conditional hook points exist.</summary>
    public ModelFlags Flags { get; init; } = ModelFlags.None;

    public IReadOnlyList<Capture> Captures { get; init; } = [];

    /// <summary>At one point they run in this order, then captures.</summary>
    public IReadOnlyList<Intervention> Interventions { get; init; } = [];

    /// <summary>What is differentiated: a declared metric, or cotangents of points.</summary>
    public Objective? Objective { get; init; }

    public Outputs Outputs { get; init; } = Outputs.None;

    /// <summary>Other runs, by name, that interventions take values from; each runs first, once.</summary>
    public IReadOnlyDictionary<string, Plan> Sources { get; init; } = new Dictionary<string, Plan>();

    public GenerationOptions? Generation { get; init; }

    /// <summary>Draws are keyed by (seed, row, step): the same plan gives the same result.</summary>
    public ulong Seed { get; init; }

    /// <summary>Whether any part of it is a callback, so that it can neither be cut into batches, nor cached, nor sent away.</summary>
    public bool HasCallbacks => Interventions.Any(i => i.Op is CallbackOp) || Sources.Values.Any(s => s.HasCallbacks);
}
