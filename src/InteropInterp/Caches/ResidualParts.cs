namespace InteropInterp.Caches;

/// <summary>Which writers of the residual stream a decomposition shows.</summary>
[Flags]
public enum ResidualParts
{
    /// <summary>embed and pos_embed.</summary>
    Embeddings = 1,

    /// <summary>attn_out of each block.</summary>
    Attention = 2,

    /// <summary>mlp_out of each block.</summary>
    Mlp = 4,

    /// <summary>Everything: the parts sum to the stream.</summary>
    All = Embeddings | Attention | Mlp,
}
