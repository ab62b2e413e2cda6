using System.Globalization;
using System.Text;

namespace InteropInterp.Reports;

/// <summary>A line of a chart: its points are at x = 0, 1, ... plus the chart's first x.</summary>
public sealed record ChartLine(string Label, IReadOnlyList<double> Values);

/// <summary>Up to four lines over a common axis, as an SVG. Points that are no numbers are gaps.</summary>
/// <param name="Title">What it shows; also what a screen reader says.</param>
/// <param name="XTitle">What is counted along the axis.</param>
/// <param name="YTitle">What the lines measure, with its unit.</param>
public sealed record LineChart(string Title, string XTitle, string YTitle, IReadOnlyList<ChartLine> Lines) : HtmlFragment
{
    private const double Width = 640, Height = 240, Left = 46, Right = 12, Top = 10, Bottom = 38;

    /// <summary>The x of the first point.</summary>
    public double FirstX { get; init; }

    /// <summary>How far apart points are along x.</summary>
    public double StepX { get; init; } = 1;

    protected internal override void Write(StringBuilder html)
    {
        var count = Math.Max(2, Lines.Select(l => l.Values.Count).DefaultIfEmpty(0).Max());
        var finite = Lines.SelectMany(l => l.Values).Where(double.IsFinite).DefaultIfEmpty(0).ToList();
        var (low, high, step) = Ticks(Math.Min(0, finite.Min()), finite.Max());
        double X(int i) => Left + (Width - Left - Right) * i / (count - 1);
        double Y(double v) => Top + (Height - Top - Bottom) * (high - v) / (high - low);

        html.Append($"<figure class=\"interp-figure\"><figcaption>{Escape(Title)}</figcaption>");
        html.Append($"<svg class=\"interp-chart\" role=\"img\" aria-label=\"{Escape(Title)}\" viewBox=\"0 0 {Number(Width)} {Number(Height)}\">");
        for (var v = low; v <= high + step / 2; v += step)
            html.Append($"<line class=\"interp-rule\" x1=\"{Number(Left)}\" x2=\"{Number(Width - Right)}\" y1=\"{Number(Y(v))}\" y2=\"{Number(Y(v))}\"/>"
                + $"<text class=\"interp-axis\" x=\"{Number(Left - 6)}\" y=\"{Number(Y(v))}\" text-anchor=\"end\" dominant-baseline=\"central\">{Text(v)}</text>");
        for (var i = 0; i < count; i += Math.Max(1, (count - 1) / 8))
            html.Append($"<text class=\"interp-axis\" x=\"{Number(X(i))}\" y=\"{Number(Height - Bottom + 14)}\" text-anchor=\"middle\">{Text(FirstX + StepX * i)}</text>");
        html.Append($"<text class=\"interp-axis\" x=\"{Number((Left + Width - Right) / 2)}\" y=\"{Number(Height - 6)}\" text-anchor=\"middle\">{Escape(XTitle)}</text>");
        for (var l = 0; l < Lines.Count; l++)
        {
            html.Append($"<path class=\"interp-line interp-line-{l}\" d=\"{Path(Lines[l].Values, X, Y)}\"/>");
            for (var i = 0; i < Lines[l].Values.Count && count <= 200; i++)
                if (double.IsFinite(Lines[l].Values[i]))
                    html.Append($"<circle class=\"interp-dot interp-line-{l}\" cx=\"{Number(X(i))}\" cy=\"{Number(Y(Lines[l].Values[i]))}\" r=\"2.2\"><title>{Escape(Lines[l].Label)}, {Escape(XTitle)} {Text(FirstX + StepX * i)}: {Text(Lines[l].Values[i])}</title></circle>");
        }
        html.Append("</svg><p class=\"interp-legend\">");
        html.Append($"<span>{Escape(YTitle)}:</span>");
        for (var l = 0; l < Lines.Count; l++) html.Append($"<span class=\"interp-key interp-line-{l}\">{Escape(Lines[l].Label)}</span>");
        html.Append("</p></figure>\n");
    }

    private static string Path(IReadOnlyList<double> values, Func<int, double> x, Func<double, double> y)
    {
        var path = new StringBuilder();
        var isDown = false;
        for (var i = 0; i < values.Count; i++)
        {
            if (double.IsFinite(values[i])) path.Append($"{(isDown ? 'L' : 'M')}{Number(x(i))} {Number(y(values[i]))}");
            isDown = double.IsFinite(values[i]);
        }
        return path.ToString();
    }

    // Some five steps of 1, 2 or 5 times a power of ten.
    private static (double Low, double High, double Step) Ticks(double low, double high)
    {
        if (high <= low) high = low + 1;
        var raw = (high - low) / 5;
        var power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        var step = power * (raw / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 };
        return (Math.Floor(low / step) * step, Math.Ceiling(high / step) * step, step);
    }

    private static string Text(double value) => Math.Round(value, 4).ToString(CultureInfo.InvariantCulture);
}
