namespace InteropInterp.Tokens.PostProcessors;

/// <summary>What is done to the tokens of a whole text. Immutable; safe for many threads.</summary>
internal interface IPostProcessor
{
    /// <summary>The special tokens that it puts in front of a text.</summary>
    IReadOnlyList<int> Before { get; }

    void Apply(TokenList tokens, bool addSpecialTokens);
}
