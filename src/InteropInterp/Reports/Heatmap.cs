using System.Globalization;
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
public sealed record Heatmap(string Title, IReadOnlyList<double> Values, IReadOnlyList<string> Rows, IReadOnlyList<string> Columns)
    : HtmlFragment
{
    private const double CharacterWidth = 6.6, Gap = 6, Top = 20;

    // Where the colour is so strong that only the page's own reads on it.
    private const double Strong = 0.55;

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
        var (width, height) = Texts is null ? (22, 18) : (Math.Max(12 + TextWidth(Texts), 6 + TextWidth(Columns)), 26);
        var left = Gap + TextWidth(Rows);

        Svg.Begin(html, "interp-heatmap", Title, left + width * Columns.Count + 1, Top + height * Rows.Count + 1, isFixed: true);
        for (var c = 0; c < Columns.Count; c++) Svg.Text(html, left + width * (c + 0.5), Top - Gap - 4, Shown(Columns, c, width));
        for (var r = 0; r < Rows.Count; r++)
        {
            Svg.Text(html, left - Gap, Top + height * (r + 0.5), Rows[r], "end");
            for (var c = 0; c < Columns.Count; c++) Cell(html, r, c, left + width * c, Top + height * r, width, height);
        }
        html.Append("</svg></figure>\n");
    }

    private void Cell(StringBuilder html, int row, int column, double x, double y, double width, double height)
    {
        var value = Values[row * Columns.Count + column];
        var strength = Scale.Strength(value);
        var shown = double.IsNaN(value) ? "not a number" : value.ToString("0.####", CultureInfo.InvariantCulture);
        html.Append($"<g><title>{Escape($"{Named(RowName, Rows[row])}, {Named(ColumnName, Columns[column])}: {shown}")}</title>");
        Svg.Rectangle(html, x, y, width, height, value < 0 ? "interp-below" : "interp-above", strength);
        if (Texts is not null)
            Svg.Text(
                html, x + width / 2, y + height / 2, Texts[row * Columns.Count + column],
                style: strength > Strong ? "interp-cell interp-strong" : "interp-cell");
        html.Append("</g>");
    }

    private static string Named(string name, string label) => name.Length == 0 ? label : $"{name} {label}";

    // Narrow columns have room for every so many labels only.
    private static string Shown(IReadOnlyList<string> labels, int index, double width)
    {
        var every = (int)Math.Ceiling((TextWidth(labels) + 4) / width);
        return index % every == 0 ? labels[index] : "";
    }

    private static double TextWidth(IReadOnlyList<string> texts) => CharacterWidth * texts.Select(t => t.Length).DefaultIfEmpty(0).Max();
}
