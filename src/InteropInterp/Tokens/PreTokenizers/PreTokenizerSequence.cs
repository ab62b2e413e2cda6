namespace InteropInterp.Tokens.PreTokenizers;

/// <summary>One after the other.</summary>
internal sealed class PreTokenizerSequence(IReadOnlyList<IPreTokenizer> steps) : IPreTokenizer
{
    public void Apply(Words words)
    {
        foreach (var step in steps) step.Apply(words);
    }
}
