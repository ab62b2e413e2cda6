using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using System.Text.RegularExpressions;
using InteropInterp.Reports;

namespace InteropInterp.Tests.Reports;

public class FragmentTests
{
    private const string Hostile = "</script><img src=x onerror=\"alert(1)\">'&";

    [Fact]
    public void A_heatmap_has_a_cell_per_value_each_with_its_value_on_hover()
    {
        var html =
            new Heatmap("Scores", [0.5, -1, double.NaN, 2], ["a", "b"], ["x", "y"]) { RowName = "layer", ColumnName = "head" }.ToHtml();
        Assert.Equal(4, Regex.Count(html, "<rect "));
        Assert.Contains("<title>layer a, head y: -1</title><rect class=\"interp-below\"", html);
        Assert.Contains("<title>layer b, head x: not a number</title>", html);
        // The strongest colour is the largest value's.
        Assert.Equal(["0.25", "0.5", "0", "1"], Regex.Matches(html, "fill-opacity=\"([^\"]+)\"").Select(m => m.Groups[1].Value));
    }

    [Fact]
    public void What_does_not_fit_its_labels_is_refused() =>
        Assert.Throws<InvalidOperationException>(() => new Heatmap("t", [1, 2, 3], ["a", "b"], ["x", "y"]).ToHtml());

    [Fact]
    public void Every_text_is_escaped()
    {
        HtmlFragment[] fragments =
        [
            new Heatmap(Hostile, [1], [Hostile], [Hostile]) { Texts = [Hostile], RowName = Hostile },
            new DataTable(Hostile, [Hostile], [[Hostile]]),
            new LineChart(Hostile, Hostile, Hostile, [new ChartLine(Hostile, [1, 2])]),
            new PointChart(Hostile, Hostile, Hostile, [new ChartPoints(Hostile, [(1, 2, Hostile)], true)]),
            new AttentionPatterns(Hostile, [Hostile], [new AttentionPattern(Hostile, [1])]),
            new NeuronCard(Hostile, [new NeuronExample(1, [Hostile, "b"], 0)], [(Hostile, 1)], [(Hostile, -1)]),
        ];
        foreach (var html in fragments.Select(f => f.ToHtml())
            .Append(new ReportPage(Hostile, Hostile, [new ReportSection(Hostile, Hostile, fragments)]).ToHtml()))
        {
            Assert.DoesNotContain("<img src=x", html);
            Assert.DoesNotContain("onerror=\"", html);
            Assert.Contains("&lt;/script&gt;&lt;img", html);
        }
    }

    [Fact]
    public void A_neurons_card_marks_the_token_at_which_it_is_large()
    {
        var html = new NeuronCard("n", [new NeuronExample(2.5, ["a", " b", "c"], 1)], [("x", 0.25)], []).ToHtml();
        Assert.Contains("<th scope=\"row\">2.5</th><td>a<mark>·b</mark>c</td>", html);
        Assert.Contains("<p>for <code title=\"0.25\">x</code>", html);
        Assert.DoesNotContain("against", html);
    }

    [Fact]
    public void A_pattern_is_an_image_whose_opacities_are_the_weights()
    {
        float[] weights = [1, 0, 0.25f, 0.75f];
        var html = new AttentionPatterns("p", ["a", " b\n"], [new AttentionPattern("0.0", weights)]).ToHtml();
        Assert.Contains("<span>a</span><span>·b⏎</span>", html);
        var png = Convert.FromBase64String(Regex.Match(html, "data:image/png;base64,([^\"]+)").Groups[1].Value);
        Assert.Equal((2, 2), (BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(16)), BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(20))));
        using var zlib = new ZLibStream(new MemoryStream(Chunk(png, "IDAT")), CompressionMode.Decompress);
        using var pixels = new MemoryStream();
        zlib.CopyTo(pixels);
        Assert.Equal([0, 255, 0, 0, 64, 191], pixels.ToArray());
        Assert.Equal(Enumerable.Range(0, 256).Select(i => (byte)i), Chunk(png, "tRNS"));
    }

    [Fact]
    public void A_line_breaks_where_there_is_no_number()
    {
        var html = new LineChart("t", "step", "nats", [new ChartLine("l", [1, 2, double.NaN, 3, 4])]) { FirstX = 10, StepX = 5 }.ToHtml();
        var path = Regex.Match(html, " d=\"([^\"]+)\"").Groups[1].Value;
        Assert.Equal(2, path.Count(c => c == 'M'));
        Assert.Equal(2, path.Count(c => c == 'L'));
        Assert.Contains("l, step 25: 3", html);
    }

    [Fact]
    public void A_fragment_alone_brings_its_styles_and_a_page_fetches_nothing()
    {
        var table = new DataTable("t", ["a", "b"], [["1", "2"]]);
        Assert.StartsWith("<div class=\"interp\"><style>", table.ToStandaloneHtml());
        var page = new ReportPage("Title", "Summary", [new ReportSection("One", "Text", table)]).ToHtml();
        Assert.Contains("<style>", page);
        Assert.Contains("<script>", page);
        SelfContained(page);
    }

    internal static void SelfContained(string page)
    {
        Assert.DoesNotMatch("(?i)https?:|<link|@import|url\\(", page);
        Assert.All(Regex.Matches(page, "(?i)\\b(?:src|href)=\"([^\"]*)\""), m => Assert.StartsWith("data:", m.Groups[1].Value));
        Assert.Contains("default-src 'none'", page);
    }

    private static byte[] Chunk(byte[] png, string type)
    {
        for (var at = 8; at < png.Length;)
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(at));
            var data = png[(at + 8)..(at + 8 + length)];
            Assert.Equal(System.IO.Hashing.Crc32.HashToUInt32(png.AsSpan(at + 4, length + 4)),
                BinaryPrimitives.ReadUInt32BigEndian(png.AsSpan(at + 8 + length)));
            if (Encoding.ASCII.GetString(png, at + 4, 4) == type) return data;
            at += length + 12;
        }
        throw new InvalidOperationException(type);
    }
}
