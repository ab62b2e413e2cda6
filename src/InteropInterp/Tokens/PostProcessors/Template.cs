namespace InteropInterp.Tokens.PostProcessors;

/// <summary>Special tokens before and after a text: TemplateProcessing, BertProcessing and RobertaProcessing alike.</summary>
internal sealed class Template(IReadOnlyList<int> before, IReadOnlyList<int> after) : IPostProcessor
{
    public IReadOnlyList<int> Before => before;

    public void Apply(TokenList tokens, bool addSpecialTokens)
    {
        if (addSpecialTokens) tokens.Surround(before, after);
    }
}
