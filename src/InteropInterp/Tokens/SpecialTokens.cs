namespace InteropInterp.Tokens;

/// <summary>Which tokens of a tokenizer have a part to play, and what its files say about a BOS and padding.</summary>
internal sealed record SpecialTokens(
    int? Bos = null, int? Eos = null, int? Pad = null, int? Unknown = null, bool DeclinesBos = false,
    PaddingSide? PaddingSide = null);
