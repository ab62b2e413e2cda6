namespace InteropInterp.Tokens;

/// <summary>A stretch of the text that was given, counted in Unicode code points: [Start, End).</summary>
public readonly record struct TextSpan(int Start, int End);
