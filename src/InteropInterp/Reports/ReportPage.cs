using System.Text;

namespace InteropInterp.Reports;

/// <summary>A part of a report under a heading.</summary>
/// <param name="Title">The heading.</param>
/// <param name="Text">What there is to see, in plain words.</param>
public sealed record ReportSection(string Title, string Text, params IReadOnlyList<HtmlFragment> Fragments);

/// <summary>A report as one HTML file that opens offline: styles, script, images and data lie within it.</summary>
public sealed record ReportPage(string Title, string Summary, IReadOnlyList<ReportSection> Sections)
{
    // Whatever a token's text says.
    private const string NothingFetched = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

    private static readonly string Css = Asset("report.css");
    private static readonly string Script = Asset("report.js");

    public string ToHtml()
    {
        var html = new StringBuilder();
        var title = HtmlFragment.Escape(Title);
        html.Append("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
            .Append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
            .Append("<meta name=\"color-scheme\" content=\"light dark\">")
            .Append($"<meta http-equiv=\"Content-Security-Policy\" content=\"{NothingFetched}\">")
            .Append($"<title>{title}</title>\n<style>\n{Css}</style></head>\n<body class=\"interp interp-page\">\n")
            .Append($"<header><h1>{title}</h1><p>{HtmlFragment.Escape(Summary)}</p></header>\n<main>\n");
        foreach (var section in Sections)
        {
            html.Append($"<section><h2>{HtmlFragment.Escape(section.Title)}</h2><p>{HtmlFragment.Escape(section.Text)}</p>\n");
            html.Append("<div class=\"interp-row\">\n");
            foreach (var fragment in section.Fragments) fragment.Write(html);
            html.Append("</div></section>\n");
        }
        return html.Append($"</main>\n<script>\n{Script}</script></body></html>\n").ToString();
    }

    /// <summary>Markup of fragments with what it needs to stand in somebody else's page.</summary>
    internal static string WithStyles(string markup) =>
        $"<div class=\"interp\"><style>\n{Css}</style>\n{markup}<script>\n{Script}</script></div>";

    private static string Asset(string name)
    {
        using var stream = typeof(ReportPage).Assembly.GetManifestResourceStream($"InteropInterp.Reports.{name}")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
