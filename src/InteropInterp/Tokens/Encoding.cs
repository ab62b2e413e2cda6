namespace InteropInterp.Tokens;

/// <summary>The ids of a text and, for each, where in the text it stands.</summary>
/// <param name="Ids">[token] ids.</param>
/// <param name="Spans">
/// [token] code points of the original text. Several tokens of one character share its span; special tokens that were put
/// around the text have the empty span 0..0.
/// </param>
public sealed record Encoding(int[] Ids, TextSpan[] Spans);
