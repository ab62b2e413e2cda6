using InteropInterp.Tokens;

namespace InteropInterp.Studies.IndirectObjects;

/// <summary>Names that a sentence about two people may have.</summary>
internal static class FirstNames
{
    public static readonly IReadOnlyList<string> All =
    [
        " Mary", " John", " Anna", " Peter", " Sarah", " David", " Alice", " Robert", " Emma", " James", " Laura", " Thomas", " Kate",
        " Michael", " Jane", " Paul", " Susan", " Mark", " Lucy", " George", " Lisa", " Daniel", " Helen", " Simon",
    ];

    /// <summary>Those that are one token each.</summary>
    public static string[] Known(ModelTokenizer tokenizer) => [.. All.Where(name => tokenizer.Tokenizer.Encode(name).Length == 1)];
}
