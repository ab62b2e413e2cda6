using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Unicode;

namespace InteropInterp.Reports;

/// <summary>
/// A piece of a report: a table, a chart, a heatmap. It fetches nothing. <see cref="ToHtml"/> is for a page that has the styles
/// (<see cref="ReportPage"/>), <see cref="ToStandaloneHtml"/> for a notebook cell.
/// </summary>
public abstract record HtmlFragment
{
    private static readonly HtmlEncoder Encoder = HtmlEncoder.Create(UnicodeRanges.All);

    /// <summary>The markup alone.</summary>
    public string ToHtml()
    {
        var html = new StringBuilder();
        Write(html);
        return html.ToString();
    }

    /// <summary>The markup with the styles and the script it needs.</summary>
    public string ToStandaloneHtml() => ReportPage.WithStyles(ToHtml());

    /// <summary>Appends the markup.</summary>
    protected internal abstract void Write(StringBuilder html);

    /// <summary>Text as it may stand in an element or in an attribute between quotes.</summary>
    protected internal static string Escape(string text) => Encoder.Encode(text);

    /// <summary>A coordinate or opacity.</summary>
    protected internal static string Number(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);
}
