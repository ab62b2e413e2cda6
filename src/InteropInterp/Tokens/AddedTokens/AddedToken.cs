namespace InteropInterp.Tokens.AddedTokens;

/// <summary>A token that is looked for in the text before the model sees it.</summary>
/// <param name="SingleWord">No letter, digit or underscore may stand beside it.</param>
/// <param name="StripLeft">It takes the whitespace before it along.</param>
/// <param name="StripRight">It takes the whitespace behind it along.</param>
/// <param name="Normalized">It is looked for in the normalized text, itself normalized.</param>
/// <param name="Special">Decoding may skip it.</param>
internal sealed record AddedToken(
    string Content, int Id, bool SingleWord = false, bool StripLeft = false, bool StripRight = false, bool Normalized = false,
    bool Special = true);
