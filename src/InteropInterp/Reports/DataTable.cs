using System.Text;

namespace InteropInterp.Reports;

/// <summary>A table of texts.</summary>
/// <param name="Title">Its caption.</param>
/// <param name="Columns">Headings. The first column names the row; others are numbers where <see cref="Numeric"/>.</param>
/// <param name="Rows">As many texts as headings each.</param>
public sealed record DataTable(string Title, IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Rows) : HtmlFragment
{
    /// <summary>All columns but the first are set to the right.</summary>
    public bool Numeric { get; init; } = true;

    protected internal override void Write(StringBuilder html)
    {
        html.Append($"<div class=\"interp-scroll\"><table class=\"{(Numeric ? "interp-table interp-numeric" : "interp-table")}\">");
        html.Append($"<caption>{Escape(Title)}</caption><thead><tr>");
        foreach (var column in Columns) html.Append($"<th scope=\"col\">{Escape(column)}</th>");
        html.Append("</tr></thead><tbody>");
        foreach (var row in Rows)
        {
            html.Append("<tr>");
            for (var i = 0; i < row.Count; i++)
                html.Append(i == 0 ? $"<th scope=\"row\">{Escape(row[i])}</th>" : $"<td>{Escape(row[i])}</td>");
            html.Append("</tr>");
        }
        html.Append("</tbody></table></div>\n");
    }
}
