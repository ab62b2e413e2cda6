using System.Text;

namespace InteropInterp.Reports;

/// <summary>
/// A matrix as coloured cells, each with its value on hover, as an SVG: for layers and heads, positions, tables of a few
/// thousand cells at most.
/// </summary>
/// <param name="Title">What it shows; also what a screen reader says.</param>
/// <param name="Values">Row-major: [row · columns + column]. What is no number stays blank.</param>
/// <param name="Rows">A label per row.</param>
/// <param name="Columns">A label per column.</param>
public sealed record Heatmap(string Title, IReadOnlyList<double> Values, IReadOnlyList<string> Rows, IReadOnlyList<string> Columns) : HtmlFragment
{
    private const double CharacterWidth = 6.6;
    private const double Gap = 6;

    public ColorScale Scale { get; init; } = ColorScale.Of(Values);

    /// <summary>What stands in the cells; null: nothing, the value shows on hover.</summary>
    public IReadOnlyList<string>? Texts { get; init; }

    /// <summary>What rows and columns are, for the hover: "layer", "head".</summary>
    public string RowName { get; init; } = "";

    public string ColumnName { get; init; } = "";

    protected internal override void Write(StringBuilder html)
    {
        if (Values.Count != Rows.Count * Columns.Count || (Texts is not null && Texts.Count != Values.Count))
            throw new InvalidOperationException($"{Title}: {Values.Count} values for {Rows.Count} x {Columns.Count} labels.");
        var width = Math.Max(Texts is null ? 22 : 12 + CharacterWidth * Longest(Texts), Texts is null ? 0 : 6 + CharacterWidth * Longest(Columns));
        var height = Texts is null ? 18.0 : 26;
        var left = Gap + CharacterWidth * Longest(Rows);
        var top = 20.0;
        var (w, h) = (left + width * Columns.Count + 1, top + height * Rows.Count + 1);

        html.Append($"<figure class=\"interp-figure\"><figcaption>{Escape(Title)}</figcaption>");
        html.Append($"<svg class=\"interp-heatmap\" role=\"img\" aria-label=\"{Escape(Title)}\" width=\"{Number(w)}\" height=\"{Number(h)}\" viewBox=\"0 0 {Number(w)} {Number(h)}\">");
        for (var c = 0; c < Columns.Count; c++)
            html.Append($"<text class=\"interp-axis\" x=\"{Number(left + width * (c + 0.5))}\" y=\"{Number(top - Gap)}\" text-anchor=\"middle\">{Escape(Shown(Columns, c, width))}</text>");
        for (var r = 0; r < Rows.Count; r++)
        {
            html.Append($"<text class=\"interp-axis\" x=\"{Number(left - Gap)}\" y=\"{Number(top + height * (r + 0.5))}\" text-anchor=\"end\" dominant-baseline=\"central\">{Escape(Rows[r])}</text>");
            for (var c = 0; c < Columns.Count; c++) Cell(html, r, c, left + width * c, top + height * r, width, height);
        }
        html.Append("</svg></figure>\n");
    }

    private void Cell(StringBuilder html, int row, int column, double x, double y, double width, double height)
    {
        var value = Values[row * Columns.Count + column];
        var strength = Scale.Strength(value);
        var name = $"{Named(RowName, Rows[row])}, {Named(ColumnName, Columns[column])}: {(double.IsNaN(value) ? "not a number" : value.ToString("0.####", System.Globalization.CultureInfo.InvariantCulture))}";
        html.Append($"<g><title>{Escape(name)}</title><rect class=\"{(value < 0 ? "interp-below" : "interp-above")}\" x=\"{Number(x)}\" y=\"{Number(y)}\" width=\"{Number(width)}\" height=\"{Number(height)}\" fill-opacity=\"{Number(strength)}\"/>");
        if (Texts is not null)
            html.Append($"<text class=\"{(strength > 0.55 ? "interp-cell interp-strong" : "interp-cell")}\" x=\"{Number(x + width / 2)}\" y=\"{Number(y + height / 2)}\" text-anchor=\"middle\" dominant-baseline=\"central\">{Escape(Texts[row * Columns.Count + column])}</text>");
        html.Append("</g>");
    }

    private static string Named(string name, string label) => name.Length == 0 ? label : $"{name} {label}";

    // Narrow columns have room for every so many labels only.
    private static string Shown(IReadOnlyList<string> labels, int index, double width)
    {
        var every = (int)Math.Ceiling((CharacterWidth * Longest(labels) + 4) / width);
        return index % every == 0 ? labels[index] : "";
    }

    private static int Longest(IReadOnlyList<string> texts) => texts.Select(t => t.Length).DefaultIfEmpty(0).Max();
}
