using System.Globalization;
using System.Text;

namespace InteropInterp.Reports;

/// <summary>What is known of a neuron or feature: where it is largest, and which tokens it speaks for.</summary>
/// <param name="Title">Its name: "blocks.3.mlp.hook_post 1234".</param>
/// <param name="Examples">Largest first.</param>
/// <param name="Promoted">Tokens it speaks for, with their weights; may be empty.</param>
/// <param name="Suppressed">And against.</param>
public sealed record NeuronCard(
    string Title, IReadOnlyList<NeuronExample> Examples, IReadOnlyList<(string Token, double Weight)> Promoted,
    IReadOnlyList<(string Token, double Weight)> Suppressed) : HtmlFragment
{
    protected internal override void Write(StringBuilder html)
    {
        html.Append($"<section class=\"interp-neuron\"><h3>{Escape(Title)}</h3>");
        WriteTokens(html, "for", Promoted);
        WriteTokens(html, "against", Suppressed);
        html.Append("<div class=\"interp-scroll\"><table class=\"interp-table\"><tbody>");
        foreach (var example in Examples)
        {
            html.Append(CultureInfo.InvariantCulture, $"<tr><th scope=\"row\">{example.Value:0.###}</th><td>");
            for (var i = 0; i < example.Tokens.Count; i++)
            {
                var token = Escape(VisibleText.Of(example.Tokens[i]));
                html.Append(i == example.At ? $"<mark>{token}</mark>" : token);
            }
            html.Append("</td></tr>");
        }
        html.Append("</tbody></table></div></section>\n");
    }

    private static void WriteTokens(StringBuilder html, string what, IReadOnlyList<(string Token, double Weight)> tokens)
    {
        if (tokens.Count == 0) return;
        html.Append($"<p>{what} ");
        foreach (var (token, weight) in tokens)
            html.Append(CultureInfo.InvariantCulture, $"<code title=\"{weight:0.####}\">{Escape(VisibleText.Of(token))}</code> ");
        html.Append("</p>");
    }
}

/// <summary>A place at which a neuron is large.</summary>
/// <param name="Value">Its activation there.</param>
/// <param name="Tokens">The texts of the tokens around.</param>
/// <param name="At">Which of them it is.</param>
public sealed record NeuronExample(double Value, IReadOnlyList<string> Tokens, int At);
