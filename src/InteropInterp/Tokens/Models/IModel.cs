using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Models;

/// <summary>Cuts one word into tokens. Immutable but for caches; safe for many threads.</summary>
internal interface IModel
{
    Vocabulary Vocabulary { get; }

    /// <summary>Appends the tokens of a word that is not empty.</summary>
    void Tokenize(AlignedText word, TokenList output);
}
