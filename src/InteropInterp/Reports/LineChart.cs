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

    // Beyond, they are the line.
    private const int MostDots = 200;

    /// <summary>The x of the first point.</summary>
    public double FirstX { get; init; }

    /// <summary>How far apart points are along x.</summary>
    public double StepX { get; init; } = 1;

    protected internal override void Write(StringBuilder html)
    {
        var count = Math.Max(2, Lines.Select(l => l.Values.Count).DefaultIfEmpty(0).Max());
        var finite = Lines.SelectMany(l => l.Values).Where(double.IsFinite).DefaultIfEmpty(0).ToList();
        var (low, high, step) = AxisTicks.Of(Math.Min(0, finite.Min()), finite.Max());
        double X(int i) => Left + (Width - Left - Right) * i / (count - 1);
        double Y(double v) => Top + (Height - Top - Bottom) * (high - v) / (high - low);

        Svg.Begin(html, "interp-chart", Title, Width, Height, isFixed: false);
        for (var v = low; v <= high + step / 2; v += step)
        {
            Svg.Rule(html, Left, Width - Right, Y(v));
            Svg.Text(html, Left - 6, Y(v), AxisTicks.Text(v), "end");
        }
        for (var i = 0; i < count; i += Math.Max(1, (count - 1) / 8)) Svg.Text(html, X(i), Height - Bottom + 10, AxisTicks.Text(FirstX + StepX * i));
        Svg.Text(html, (Left + Width - Right) / 2, Height - 10, XTitle);
        for (var l = 0; l < Lines.Count; l++)
        {
            var (label, values) = Lines[l];
            html.Append($"<path class=\"interp-line interp-line-{l}\" d=\"{Path(values, X, Y)}\"/>");
            for (var i = 0; i < values.Count && count <= MostDots; i++)
                if (double.IsFinite(values[i]))
                    Svg.Dot(
                        html, X(i), Y(values[i]), $"interp-line-{l}",
                        $"{label}, {XTitle} {AxisTicks.Text(FirstX + StepX * i)}: {AxisTicks.Text(values[i])}");
        }
        html.Append($"</svg><p class=\"interp-legend\"><span>{Escape(YTitle)}:</span>");
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
}
