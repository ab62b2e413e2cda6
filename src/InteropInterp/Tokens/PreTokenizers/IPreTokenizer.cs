namespace InteropInterp.Tokens.PreTokenizers;

/// <summary>Cuts a text into the words that the model then tokenizes one by one. Immutable; safe for many threads.</summary>
internal interface IPreTokenizer
{
    void Apply(Words words);
}
