namespace InteropInterp.Hooks;

/// <summary>
/// Which conditional hook points exist in a run (HookedTransformer.set_use_*). They belong to a client's view of a model, not to
/// the model: they never change what it computes.
/// </summary>
public sealed record ModelFlags
{
    public static ModelFlags None { get; } = new();

    /// <summary>attn.hook_result: each head's output [batch, pos, head, d_model].</summary>
    public bool UseAttnResult { get; init; }

    /// <summary>hook_q_input, hook_k_input, hook_v_input: a residual stream per head.</summary>
    public bool UseSplitQkvInput { get; init; }

    /// <summary>hook_attn_in: one residual stream per head, shared by its q, k and v.</summary>
    public bool UseAttnIn { get; init; }

    /// <summary>hook_mlp_in.</summary>
    public bool UseHookMlpIn { get; init; }

    /// <summary>hook_tokens.</summary>
    public bool UseHookTokens { get; init; }

    /// <summary>hook_k and hook_v with a head per query head, where keys are grouped.</summary>
    public bool UngroupGroupedQueryAttention { get; init; }
}
