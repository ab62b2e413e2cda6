using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;

namespace InteropInterp.Circuits;

/// <summary>What circuits are run on: prompts, what is measured there, and what stands in for the edges that are left out.</summary>
public sealed record CircuitTask
{
    /// <summary>The prompts: rows, nothing else.</summary>
    public required Plan Prompts { get; init; }

    /// <summary>
    /// What an ablated edge carries instead of its sender's output: the output on corrupted prompts (<see cref="SweepFromRun"/>), the
    /// mean over reference prompts (<see cref="SweepMean"/>), a random one of them (<see cref="SweepResample"/>), nothing
    /// (<see cref="SweepZero"/>), or what is given for every sender's point (<see cref="SweepFromCache"/>): means per template, say.
    /// </summary>
    public required SweepSource Ablation { get; init; }

    public required Metric Metric { get; init; }
}
