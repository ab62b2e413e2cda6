using System.Text;
using static InteropInterp.Reports.HtmlFragment;

namespace InteropInterp.Reports;

/// <summary>The few shapes that charts are made of.</summary>
internal static class Svg
{
    /// <summary>Opens a figure with its caption and an image of a size, which a screen reader reads as the caption.</summary>
    public static void Begin(StringBuilder html, string style, string title, double width, double height, bool isFixed)
    {
        html.Append($"<figure class=\"interp-figure\"><figcaption>{Escape(title)}</figcaption>");
        html.Append($"<svg class=\"{style}\" role=\"img\" aria-label=\"{Escape(title)}\" viewBox=\"0 0 {Number(width)} {Number(height)}\"");
        if (isFixed) html.Append($" width=\"{Number(width)}\" height=\"{Number(height)}\"");
        html.Append('>');
    }

    /// <param name="anchor">Which end of the text is at x: start, middle or end. Its middle is at y.</param>
    public static void Text(StringBuilder html, double x, double y, string text, string anchor = "middle", string style = "interp-axis") =>
        html.Append($"<text class=\"{style}\" x=\"{Number(x)}\" y=\"{Number(y)}\" text-anchor=\"{anchor}\" dominant-baseline=\"central\">")
            .Append(Escape(text)).Append("</text>");

    /// <summary>A rectangle of which the style gives the colour and <paramref name="opacity"/> the strength.</summary>
    public static void Rectangle(StringBuilder html, double x, double y, double width, double height, string style, double opacity) =>
        html.Append($"<rect class=\"{style}\" x=\"{Number(x)}\" y=\"{Number(y)}\" width=\"{Number(width)}\" height=\"{Number(height)}\"")
            .Append($" fill-opacity=\"{Number(opacity)}\"/>");

    /// <summary>A horizontal line across a chart.</summary>
    public static void Rule(StringBuilder html, double from, double to, double y) =>
        html.Append($"<line class=\"interp-rule\" x1=\"{Number(from)}\" x2=\"{Number(to)}\" y1=\"{Number(y)}\" y2=\"{Number(y)}\"/>");

    /// <summary>A point that says what it is on hover.</summary>
    public static void Dot(StringBuilder html, double x, double y, string style, string title) =>
        html.Append($"<circle class=\"interp-dot {style}\" cx=\"{Number(x)}\" cy=\"{Number(y)}\" r=\"2.2\"><title>{Escape(title)}</title></circle>");
}
