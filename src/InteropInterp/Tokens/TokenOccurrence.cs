namespace InteropInterp.Tokens;

/// <summary>Which occurrence of a token in a row.</summary>
public enum TokenOccurrence
{
    First,
    Last,
}
