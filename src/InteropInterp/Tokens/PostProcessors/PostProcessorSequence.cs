namespace InteropInterp.Tokens.PostProcessors;

/// <summary>One after the other.</summary>
internal sealed class PostProcessorSequence(IReadOnlyList<IPostProcessor> steps) : IPostProcessor
{
    public IReadOnlyList<int> Before { get; } = steps.Reverse().SelectMany(step => step.Before).ToList();

    public void Apply(TokenList tokens, bool addSpecialTokens)
    {
        foreach (var step in steps) step.Apply(tokens, addSpecialTokens);
    }
}
