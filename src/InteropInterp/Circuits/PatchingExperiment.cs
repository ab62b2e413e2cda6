using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Patching;
using InteropInterp.Patching.Corruptions;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Circuits;

/// <summary>
/// The two kinds of experiment of "How to use and interpret activation patching" (Heimersheim and Nanda 2024): explore, one
/// component at a time in both directions; confirm, all of the rest at once against a hypothesised circuit.
/// </summary>
/// <param name="Clean">Prompts with the behaviour.</param>
/// <param name="Corrupt">As many, as long, without it.</param>
/// <param name="Metric">Continuous, a logit difference for preference: its value on clean prompts is 1, on corrupted ones 0.</param>
public sealed record PatchingExperiment(Plan Clean, Plan Corrupt, Metric Metric)
{
    /// <summary>Patches each cell of a grid alone, clean into corrupted (denoising) and corrupted into clean (noising).</summary>
    /// <exception cref="InterpException">TASK_NOT_SOLVED where clean and corrupted prompts give the same, so that nothing is to be
    /// restored.</exception>
    public Exploration Explore(TransformerModel model, SweepGrid grid, ExecutionOptions? options = null,
        CancellationToken cancellation = default)
    {
        var both = SweepRunner.Run(
            model, new Sweep { Base = Clean, Source = new SweepCorruptions([new CorruptRun("corrupt", Corrupt)]), Grid = grid, Metric = Metric }, options, cancellation);
        var ends = both.Metrics[0].Ends!;
        RequireEffect(ends.Clean, ends.Corrupt[0], model.DataType);
        return new Exploration(both);
    }

    /// <summary>
    /// What circuits recover with everything outside corrupted, and what is left outside with them corrupted: for circuits of
    /// growing size the Pareto front of size against recovered behaviour.
    /// </summary>
    /// <exception cref="InterpException">TASK_NOT_SOLVED.</exception>
    public IReadOnlyList<CircuitPerformance> Confirm(
        TransformerModel model, IReadOnlyList<Circuit> circuits, ExecutionOptions? options = null, CancellationToken cancellation = default)
    {
        using var runner = new CircuitRunner(model,
            new CircuitTask { Prompts = Clean, Ablation = new SweepFromRun(Corrupt), Metric = Metric }, options, cancellation);
        return DeviceLeases.Of(model.Device).Run(Confirm(runner, circuits), cancellation);
    }

    /// <summary>The same on a runner whose ablation is the corrupted run, pass by pass. The runner stays the caller's.</summary>
    /// <exception cref="InterpException">TASK_NOT_SOLVED; CIRCUIT_OF_OTHER_MODEL.</exception>
    public static IStepwise<IReadOnlyList<CircuitPerformance>> Confirm(CircuitRunner runner, IReadOnlyList<Circuit> circuits) =>
        CircuitEvaluation.Start(runner, circuits).Then(results =>
        {
            if (results.Count > 0) RequireEffect(results[0].Whole, results[0].None, runner.DataType);
            return results;
        });

    // What rounding alone makes of two equal runs is no effect.
    private static void RequireEffect(double clean, double corrupt, ScalarType type)
    {
        var rounding = type == ScalarType.Float64 ? 1e-9 : 1e-5;
        if (Math.Abs(clean - corrupt) <= rounding * Math.Max(Math.Abs(clean), Math.Abs(corrupt)))
            throw InterpException.Precondition("TASK_NOT_SOLVED",
                $"The metric is {clean:G6} on the clean prompts and {corrupt:G6} on the corrupted ones: there is nothing to restore.");
    }
}

/// <summary>Each cell patched alone, in both directions.</summary>
/// <param name="Both">Its first two axes are direction and corruption, of which there is one.</param>
public sealed record Exploration(SweepResult Both)
{
    /// <summary>What clean values of the cell alone restore of the behaviour: 1 where the cell is sufficient.</summary>
    public IReadOnlyList<double> Restored => [.. Both.Metrics[0].Normalized.Take(Both.Values.Count / 2)];

    /// <summary>What corrupted values of the cell alone destroy of it: 1 where the cell is necessary.</summary>
    public IReadOnlyList<double> Lost => [.. Both.Metrics[0].Normalized.Skip(Both.Values.Count / 2).Select(v => 1 - v)];
}
