using InteropInterp.Heads;
using InteropInterp.Studies.IndirectObjects;

namespace InteropInterp.Studies;

/// <summary>What a <see cref="ModelStudy"/> found.</summary>
public sealed record ModelStudyResult
{
    /// <summary>The model's name.</summary>
    public required string Model { get; init; }

    public required InductionStudyResult Induction { get; init; }

    /// <summary>The text of each token of the example row.</summary>
    public required IReadOnlyList<string> ExampleTokens { get; init; }

    /// <summary>Patterns on the example row: all heads of a small model, the most typical of a large one.</summary>
    public required IReadOnlyList<HeadPattern> Patterns { get; init; }

    /// <summary>Null where it would need too much memory; then <see cref="WhyNoCircuit"/> says why.</summary>
    public InductionCircuit? Circuit { get; init; }

    public string? WhyNoCircuit { get; init; }

    public IndirectObjectTask? Task { get; init; }

    /// <summary>Null where it does not apply; then <see cref="WhyNoIndirectObject"/> says why.</summary>
    public IndirectObjectResult? IndirectObject { get; init; }

    public string? WhyNoIndirectObject { get; init; }
}
