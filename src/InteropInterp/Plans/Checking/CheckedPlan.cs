using InteropInterp.Hooks;
using InteropInterp.Plans.Interventions;

namespace InteropInterp.Plans.Checking;

/// <summary>A plan whose names are resolved and whose every part is known to fit the model.</summary>
internal sealed class CheckedPlan
{
    public required Plan Plan { get; init; }
    public required HookCatalogue Catalogue { get; init; }

    /// <summary>The first block that runs, and the one that does not any more.</summary>
    public required int FirstLayer { get; init; }

    public required int EndLayer { get; init; }
    public required bool StopsEarly { get; init; }
    public required IReadOnlyList<CheckedIntervention> Interventions { get; init; }
    public required IReadOnlyList<CheckedCapture> Captures { get; init; }
    public required IReadOnlyList<(HookPoint Point, TorchSharp.torch.Tensor Value)> Cotangents { get; init; }

    /// <summary>Where logits are needed.</summary>
    public required LogitsNeed Logits { get; init; }

    /// <summary>The sources that some intervention reads.</summary>
    public required IReadOnlyDictionary<string, CheckedPlan> Sources { get; init; }

    public bool NeedsGradient => Captures.Any(c => c.Capture.Gradient) || Interventions.Any(i => i.Intervention.Gradient);

    /// <summary>Tokens in the longest row, or the positions of the residual stream.</summary>
    public int Length => Plan.Residual is { } residual ? (int)residual.size(1) : Plan.Rows.Max(r => r.Length);

    public int RowCount => Plan.Residual is { } residual ? (int)residual.size(0) : Plan.Rows.Count;
}

/// <param name="Index">Where it stands in the plan.</param>
/// <param name="Points">The points it edits; several for a pattern.</param>
/// <param name="SourceNames">Per point, the name under which its source keeps what it reads; null where it reads nothing.</param>
internal sealed record CheckedIntervention(
    int Index, Intervention Intervention, IReadOnlyList<HookPoint> Points, IReadOnlyList<string>? SourceNames);

/// <param name="Name">What the result calls it.</param>
/// <param name="AsRegion">Kept in region axes, for an intervention of another plan.</param>
internal sealed record CheckedCapture(string Name, HookPoint Point, Capture Capture, bool AsRegion);

/// <summary>The positions at which a run must unembed.</summary>
internal enum LogitsNeed
{
    None,

    /// <summary>One position per row: where the metric reads, or the last.</summary>
    OnePerRow,
    All,
}
