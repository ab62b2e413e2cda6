using InteropInterp.Heads;

namespace InteropInterp.Studies;

/// <summary>Losses are means in nats per token.</summary>
public sealed record InductionStudyResult
{
    public required int Rows { get; init; }

    /// <summary>Tokens of a segment.</summary>
    public required int Period { get; init; }

    /// <summary>The loss of guessing among the random tokens.</summary>
    public required double UniformLoss { get; init; }

    /// <summary>On a segment's first occurrence.</summary>
    public required double FirstLoss { get; init; }

    /// <summary>On its second, from its second token on: that it begins again nobody can know.</summary>
    public required double RepeatLoss { get; init; }

    /// <summary>At the same places where another segment stands instead.</summary>
    public required double RandomLoss { get; init; }

    /// <summary>Item i is the loss of token i + 1 of a row.</summary>
    public required IReadOnlyList<double> RepeatedLossByToken { get; init; }

    public required IReadOnlyList<double> RandomLossByToken { get; init; }
    public required HeadScores Scores { get; init; }

    /// <summary>The first repeated row.</summary>
    public required IReadOnlyList<int> Example { get; init; }

    public required InductionPatchingResult Patching { get; init; }
}
