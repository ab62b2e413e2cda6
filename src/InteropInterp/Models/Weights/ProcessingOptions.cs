namespace InteropInterp.Models.Weights;

/// <summary>
/// Which rewritings of the weights are done on loading, none of which changes log-probabilities (TransformerLens's
/// load_and_process_state_dict). A step that the architecture does not allow is left out, as there.
/// </summary>
public sealed record ProcessingOptions
{
    /// <summary>TransformerLens's from_pretrained.</summary>
    public static ProcessingOptions Default { get; } = new();

    /// <summary>TransformerLens's from_pretrained_no_processing.</summary>
    public static ProcessingOptions None { get; } = new()
    {
        FoldLayerNorm = false, CenterWritingWeights = false, CenterUnembed = false, FoldValueBiases = false,
    };

    public bool FoldLayerNorm { get; init; } = true;
    public bool CenterWritingWeights { get; init; } = true;
    public bool CenterUnembed { get; init; } = true;
    public bool FoldValueBiases { get; init; } = true;

    /// <summary>The steps that apply to this architecture.</summary>
    public ProcessingOptions For(TransformerConfig c) => new()
    {
        // Shortformer adds positions after the norm: neither its weights nor the residual's mean can be moved.
        FoldLayerNorm = FoldLayerNorm && c.HasNorm && !c.IsShortformer,
        CenterWritingWeights = CenterWritingWeights && c.Normalization is ("LN" or "LNPre") && !c.FinalRms && !c.IsShortformer,
        // A soft cap on the logits is not invariant under a shift.
        CenterUnembed = CenterUnembed && c.LogitsSoftCap <= 0,
        FoldValueBiases = FoldValueBiases,
    };

    /// <summary>The config of a model processed so.</summary>
    public TransformerConfig Apply(TransformerConfig c) => !For(c).FoldLayerNorm ? c : c with
    {
        Normalization = c.Normalization switch { "LN" => "LNPre", "RMS" => "RMSPre", var other => other },
    };
}
