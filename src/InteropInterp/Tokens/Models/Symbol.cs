namespace InteropInterp.Tokens.Models;

/// <summary>A token in the making: its id and the UTF-16 units [Start, End) of the word that it covers.</summary>
internal record struct Symbol(int Id, int Start, int End);
