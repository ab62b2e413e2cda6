using System.Text;

namespace InteropInterp.Reports;

/// <summary>One head's attention pattern.</summary>
/// <param name="Label">Such as "1.3: induction .72".</param>
/// <param name="Values">[query · tokens + key], each 0 to 1.</param>
public sealed record AttentionPattern(string Label, IReadOnlyList<float> Values);

/// <summary>
/// Attention patterns of several heads over the same tokens, as images whose pixels are the weights (in 256 steps). On hover the
/// tokens are shaded by what the query attends to.
/// </summary>
/// <param name="Title">What it shows.</param>
/// <param name="Tokens">The text of each position.</param>
public sealed record AttentionPatterns(string Title, IReadOnlyList<string> Tokens, IReadOnlyList<AttentionPattern> Patterns) : HtmlFragment
{
    private const int Side = 208;

    private const string Reading =
        "Rows are queries, columns are keys. Point at a pattern, or step through it with the arrow keys, to read it.";

    protected internal override void Write(StringBuilder html)
    {
        var count = Tokens.Count;
        html.Append($"<div class=\"interp-patterns\" role=\"group\" aria-label=\"{Escape(Title)}\">");
        html.Append($"<p class=\"interp-caption\">{Escape(Title)}</p><p class=\"interp-tokens\">");
        foreach (var token in Tokens) html.Append($"<span>{Escape(VisibleText.Of(token))}</span>");
        html.Append($"</p><p class=\"interp-reading\" aria-live=\"polite\">{Reading}</p><div class=\"interp-grid\">");
        foreach (var pattern in Patterns)
        {
            if (pattern.Values.Count != count * count)
                throw new InvalidOperationException($"{pattern.Label}: {pattern.Values.Count} weights for {count} tokens.");
            var pixels = new byte[count * count];
            for (var i = 0; i < pixels.Length; i++) pixels[i] = Quantise(pattern.Values[i]);
            html.Append($"<figure class=\"interp-pattern\"><figcaption>{Escape(pattern.Label)}</figcaption>");
            html.Append($"<img tabindex=\"0\" width=\"{Side}\" height=\"{Side}\"");
            html.Append($" alt=\"Attention pattern of head {Escape(pattern.Label)}\"");
            html.Append($" src=\"data:image/png;base64,{Convert.ToBase64String(IndexedPng.Encode(pixels, count, count))}\"></figure>");
        }
        html.Append("</div></div>\n");
    }

    private static byte Quantise(float weight) => float.IsNaN(weight) ? (byte)0 : (byte)Math.Round(255 * Math.Clamp(weight, 0, 1));
}
