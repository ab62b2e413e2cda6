namespace InteropInterp.Generation;

/// <summary>How new tokens are chosen (TransformerLens's generate and sample_logits).</summary>
public sealed record GenerationOptions
{
    public int MaxNewTokens { get; init; } = 10;

    /// <summary>A row that has given one of these goes on giving the first, and the run ends when all rows have.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>Draw, or take the likeliest (then the rest of these settings does nothing).</summary>
    public bool Sample { get; init; } = true;

    /// <summary>Keep only the k likeliest; not together with <see cref="TopP"/>.</summary>
    public int? TopK { get; init; }

    /// <summary>Keep the likeliest tokens up to this total probability.</summary>
    public double? TopP { get; init; }

    /// <summary>0: take the likeliest.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Subtracted from a token's logit for each time it stands in the row.</summary>
    public double FrequencyPenalty { get; init; }

    /// <summary>Logits of tokens in the row are divided by it if positive, multiplied if negative; 0 or 1: off.</summary>
    public double RepetitionPenalty { get; init; }

    /// <summary>Keep keys and values of positions seen; without, every step runs the whole sequence.</summary>
    public bool UseCache { get; init; } = true;
}
