using InteropInterp.Plans;

namespace InteropInterp.Caches;

/// <summary>Whose share of which logit is asked for, and where.</summary>
/// <param name="Tokens">Token ids, one per row or one for all.</param>
public sealed record DirectLogitAttributionOptions(IReadOnlyList<int> Tokens)
{
    /// <summary>The logit difference to these, likewise; null: the logit itself.</summary>
    public IReadOnlyList<int>? Incorrect { get; init; }

    public AttributionUnit Unit { get; init; } = AttributionUnit.Component;

    /// <summary>Positions, negative ones from each row's own end; as many of every row.</summary>
    public Positions Positions { get; init; } = Positions.At(-1);
}

/// <summary>What counts as one component.</summary>
public enum AttributionUnit
{
    /// <summary>embed, pos_embed, and attn_out and mlp_out of each block.</summary>
    Component,

    /// <summary>The stream before each block and at the end, seen through the final scale: cumulative, so nothing sums.</summary>
    Layer,

    /// <summary>Each head, each MLP, embed, pos_embed, the attention biases.</summary>
    Head,

    /// <summary>Each head, each neuron, embed, pos_embed, the biases.</summary>
    Neuron,
}
