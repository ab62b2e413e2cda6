namespace InteropInterp.Hooks;

/// <summary>The places of the forward pass that can be read and edited, in firing order; those of a block repeat per layer.</summary>
public enum HookSite
{
    Tokens,
    Embed,
    PosEmbed,

    ResidPre,
    AttnIn,
    QInput,
    KInput,
    VInput,
    Ln1Scale,
    Ln1Normalized,
    Q,
    K,
    V,
    RotQ,
    RotK,
    AttnScores,
    Pattern,
    Z,
    Result,
    AttnOut,
    ResidMid,
    MlpIn,
    Ln2Scale,
    Ln2Normalized,
    MlpPre,
    MlpPreLinear,
    MlpMid,
    MlpLnScale,
    MlpLnNormalized,
    MlpPost,
    MlpOut,
    ResidPost,

    LnFinalScale,
    LnFinalNormalized,
    UnembedIn,
    UnembedOut,
}
