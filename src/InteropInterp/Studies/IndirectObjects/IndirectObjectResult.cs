namespace InteropInterp.Studies.IndirectObjects;

/// <summary>What each head's output restores of an indirect-object task.</summary>
public sealed record IndirectObjectResult
{
    /// <summary>The layers whose heads were patched.</summary>
    public required IReadOnlyList<int> Layers { get; init; }

    /// <summary>Per layer.</summary>
    public required int Heads { get; init; }

    /// <summary>logit(correct) - logit(incorrect) of each clean prompt; the model solves those above 0.</summary>
    public required IReadOnlyList<double> CleanByPrompt { get; init; }

    public required IReadOnlyList<double> CorruptByPrompt { get; init; }

    /// <summary>[index of the layer · Heads + head]: 0 as corrupted, 1 as clean; below 0 for heads that work against it.</summary>
    public required IReadOnlyList<double> Restored { get; init; }

    /// <summary>The share of clean prompts that the model solves.</summary>
    public double Accuracy => (double)CleanByPrompt.Count(d => d > 0) / CleanByPrompt.Count;

    /// <summary>Heads by what they restore, most first.</summary>
    public IEnumerable<(int Layer, int Head, double Restored)> Ranked() =>
        Restored.Select((value, i) => (Layers[i / Heads], i % Heads, value)).OrderByDescending(x => x.value);
}
