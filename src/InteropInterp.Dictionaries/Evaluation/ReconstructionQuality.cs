namespace InteropInterp.Dictionaries.Evaluation;

/// <summary>
/// How well and how sparsely a dictionary reconstructs. x: activations, y: reconstructions, e = x − y, f: codes; means are over
/// tokens. Names are SAELens's (sae_lens/evals.py, 6.54).
/// </summary>
public sealed record ReconstructionQuality
{
    public required long Tokens { get; init; }

    /// <summary>mean #{f ≠ 0}.</summary>
    public required double L0 { get; init; }

    /// <summary>mean Σ|f|.</summary>
    public required double L1 { get; init; }

    /// <summary>mean ‖e‖²: summed over d_in, as SAELens and its training loss have it.</summary>
    public required double MeanSquaredError { get; init; }

    /// <summary>mean of e² over tokens and entries, as PyTorch's mse_loss has it.</summary>
    public required double MeanSquaredErrorPerEntry { get; init; }

    /// <summary>1 − Σ‖e‖² / Σ‖x − x̄‖², x̄ the mean of all tokens; NaN where all are equal.</summary>
    public required double ExplainedVariance { get; init; }

    /// <summary>
    /// mean of 1 − ‖e‖² / ‖x − x̄‖² per token, x̄ the mean of the token's batch (one call of Add): it depends on how tokens
    /// were batched. Published numbers up to SAELens 6.45 are this.
    /// </summary>
    public required double ExplainedVarianceLegacy { get; init; }

    /// <summary>mean cos(x, y).</summary>
    public required double CosineSimilarity { get; init; }

    /// <summary>mean ‖x‖.</summary>
    public required double NormIn { get; init; }

    /// <summary>mean ‖y‖.</summary>
    public required double NormOut { get; init; }

    /// <summary>mean ‖y‖ / ‖x‖; where ‖x‖ is below 1e-4 it counts as 1.</summary>
    public required double NormRatio { get; init; }

    /// <summary>mean ‖y‖² / mean x · y: below 1 where reconstructions shrink (Rajamanoharan et al. 2024, "Gated SAEs").</summary>
    public required double RelativeReconstructionBias { get; init; }

    /// <summary>Of each feature, the share of tokens on which it is active: [d_sae].</summary>
    public required IReadOnlyList<double> FeatureDensity { get; init; }

    /// <summary>The share of features that no token activates.</summary>
    public double DeadShare => FeatureDensity.Count(d => d == 0) / (double)FeatureDensity.Count;
}
