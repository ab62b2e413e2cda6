using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.PreTokenizers;

/// <summary>Cuts at the matches of a pattern: a regular expression, a string, digits, punctuation, whitespace.</summary>
internal sealed class Split(IMatcher matcher, SplitBehavior behavior, bool invert = false) : IPreTokenizer
{
    public void Apply(Words words) => words.Split(matcher, behavior, invert);
}
