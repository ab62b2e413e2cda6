namespace InteropInterp.Hooks;

/// <summary>What a dimension of an activation counts.</summary>
public enum HookAxis
{
    Batch,
    Position,

    /// <summary>The position that is attended to, in scores and patterns.</summary>
    KeyPosition,

    /// <summary>A query head.</summary>
    Head,

    /// <summary>A head of keys and values: fewer than query heads where keys are grouped.</summary>
    KeyHead,

    ModelWidth,
    HeadWidth,
    MlpWidth,
    Vocabulary,

    /// <summary>The one number of a norm's scale.</summary>
    One,
}
