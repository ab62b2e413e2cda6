using static InteropInterp.Hooks.HookAxis;

namespace InteropInterp.Hooks;

/// <summary>What is fixed about a site: its name, its axes, and its name in TransformerLens 4.</summary>
/// <param name="Name">TransformerLens 3's name; within a block for sites of a block: <c>attn.hook_q</c>.</param>
/// <param name="IsPerLayer">Repeats in each block.</param>
/// <param name="Axes">In memory order.</param>
/// <param name="Alias">TransformerLens 4's canonical name where it means the same tensor.</param>
public sealed record HookSiteInfo(string Name, bool IsPerLayer, IReadOnlyList<HookAxis> Axes, string? Alias = null)
{
    private static readonly HookAxis[] Residual = [Batch, Position, ModelWidth];
    private static readonly HookAxis[] Scale = [Batch, Position, One];
    private static readonly HookAxis[] Queries = [Batch, Position, Head, HeadWidth];
    private static readonly HookAxis[] Keys = [Batch, Position, KeyHead, HeadWidth];
    private static readonly HookAxis[] Attention = [Batch, Head, Position, KeyPosition];
    private static readonly HookAxis[] Neurons = [Batch, Position, MlpWidth];

    private static readonly Dictionary<HookSite, HookSiteInfo> Sites = new()
    {
        [HookSite.Tokens] = new("hook_tokens", false, [Batch, Position]),
        [HookSite.Embed] = new("hook_embed", false, Residual, "embed.hook_out"),
        [HookSite.PosEmbed] = new("hook_pos_embed", false, Residual, "pos_embed.hook_out"),
        [HookSite.ResidPre] = new("hook_resid_pre", true, Residual, "hook_in"),
        [HookSite.AttnIn] = new("hook_attn_in", true, [Batch, Position, Head, ModelWidth]),
        [HookSite.QInput] = new("hook_q_input", true, [Batch, Position, Head, ModelWidth]),
        [HookSite.KInput] = new("hook_k_input", true, [Batch, Position, KeyHead, ModelWidth]),
        [HookSite.VInput] = new("hook_v_input", true, [Batch, Position, KeyHead, ModelWidth]),
        [HookSite.Ln1Scale] = new("ln1.hook_scale", true, Scale),
        [HookSite.Ln1Normalized] = new("ln1.hook_normalized", true, Residual),
        [HookSite.Q] = new("attn.hook_q", true, Queries, "attn.q.hook_out"),
        [HookSite.K] = new("attn.hook_k", true, Keys, "attn.k.hook_out"),
        [HookSite.V] = new("attn.hook_v", true, Keys, "attn.v.hook_out"),
        [HookSite.RotQ] = new("attn.hook_rot_q", true, Queries),
        [HookSite.RotK] = new("attn.hook_rot_k", true, Keys),
        [HookSite.AttnScores] = new("attn.hook_attn_scores", true, Attention),
        [HookSite.Pattern] = new("attn.hook_pattern", true, Attention),
        [HookSite.Z] = new("attn.hook_z", true, Queries, "attn.o.hook_in"),
        [HookSite.Result] = new("attn.hook_result", true, [Batch, Position, Head, ModelWidth]),
        [HookSite.AttnOut] = new("hook_attn_out", true, Residual, "attn.hook_out"),
        [HookSite.ResidMid] = new("hook_resid_mid", true, Residual, "ln2.hook_in"),
        [HookSite.MlpIn] = new("hook_mlp_in", true, Residual),
        [HookSite.Ln2Scale] = new("ln2.hook_scale", true, Scale),
        [HookSite.Ln2Normalized] = new("ln2.hook_normalized", true, Residual),
        [HookSite.MlpPre] = new("mlp.hook_pre", true, Neurons),
        [HookSite.MlpPreLinear] = new("mlp.hook_pre_linear", true, Neurons),
        [HookSite.MlpMid] = new("mlp.hook_mid", true, Neurons),
        [HookSite.MlpLnScale] = new("mlp.ln.hook_scale", true, Scale),
        [HookSite.MlpLnNormalized] = new("mlp.ln.hook_normalized", true, Neurons),
        [HookSite.MlpPost] = new("mlp.hook_post", true, Neurons, "mlp.out.hook_in"),
        [HookSite.MlpOut] = new("hook_mlp_out", true, Residual, "mlp.hook_out"),
        [HookSite.ResidPost] = new("hook_resid_post", true, Residual, "hook_out"),
        [HookSite.LnFinalScale] = new("ln_final.hook_scale", false, Scale),
        [HookSite.LnFinalNormalized] = new("ln_final.hook_normalized", false, Residual),
        [HookSite.UnembedIn] = new("unembed.hook_in", false, Residual),
        [HookSite.UnembedOut] = new("unembed.hook_out", false, [Batch, Position, Vocabulary]),
    };

    public static HookSiteInfo Of(HookSite site) => Sites[site];

    /// <summary>Whether a head axis can be selected.</summary>
    public bool HasHeads => Axes.Contains(Head) || Axes.Contains(KeyHead);
}
