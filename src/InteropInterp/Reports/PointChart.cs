using System.Text;

namespace InteropInterp.Reports;

/// <summary>Points of a chart.</summary>
/// <param name="Points">Where they are, and what they say on hover.</param>
/// <param name="IsLine">Joined in their order.</param>
public sealed record ChartPoints(string Label, IReadOnlyList<(double X, double Y, string Title)> Points, bool IsLine);

/// <summary>Up to four sets of points, each with its x and y, as an SVG: a scatter, or curves whose points lie unevenly.</summary>
/// <param name="Title">What it shows; also what a screen reader says.</param>
public sealed record PointChart(string Title, string XTitle, string YTitle, IReadOnlyList<ChartPoints> Sets) : HtmlFragment
{
    private const double Left = 52, Right = 14, Top = 10, Bottom = 38;

    public double Width { get; init; } = 460;

    public double Height { get; init; } = 260;

    /// <summary>x is laid out by log(1 + x), for sizes from none to thousands.</summary>
    public bool IsLogarithmic { get; init; }

    /// <summary>A line from corner to corner where x = y.</summary>
    public bool HasDiagonal { get; init; }

    protected internal override void Write(StringBuilder html)
    {
        var all = Sets.SelectMany(s => s.Points).Where(p => double.IsFinite(p.X) && double.IsFinite(p.Y)).Select(p => (p.X, p.Y)).DefaultIfEmpty().ToList();
        var (low, high, step) = AxisTicks.Of(Math.Min(0, all.Min(p => p.Y)), all.Max(p => p.Y));
        var (first, last, stride) = AxisTicks.Of(Math.Min(0, all.Min(p => p.X)), all.Max(p => p.X));
        if (HasDiagonal)
        {
            (low, high, step) = AxisTicks.Of(Math.Min(low, first), Math.Max(high, last));
            (first, last, stride) = (low, high, step);
        }
        if (IsLogarithmic) last = all.Max(p => p.X);
        double X(double v) => Left + (Width - Left - Right) * (IsLogarithmic ? Math.Log(1 + v) / Math.Log(1 + last) : (v - first) / (last - first));
        double Y(double v) => Top + (Height - Top - Bottom) * (high - v) / (high - low);

        Svg.Begin(html, "interp-chart", Title, Width, Height, isFixed: true);
        for (var v = low; v <= high + step / 2; v += step)
        {
            Svg.Rule(html, Left, Width - Right, Y(v));
            Svg.Text(html, Left - 6, Y(v), AxisTicks.Text(v), "end");
        }
        foreach (var v in IsLogarithmic ? Decades(last) : Steps(first, last, stride)) Svg.Text(html, X(v), Height - Bottom + 10, AxisTicks.Text(v));
        Svg.Text(html, (Left + Width - Right) / 2, Height - 10, XTitle);
        if (HasDiagonal) html.Append($"<path class=\"interp-rule\" d=\"M{Number(X(low))} {Number(Y(low))}L{Number(X(high))} {Number(Y(high))}\"/>");
        for (var s = 0; s < Sets.Count; s++) Draw(html, Sets[s], s, X, Y);
        html.Append($"</svg><p class=\"interp-legend\"><span>{Escape(YTitle)}:</span>");
        for (var s = 0; s < Sets.Count; s++) html.Append($"<span class=\"interp-key interp-line-{s}\">{Escape(Sets[s].Label)}</span>");
        html.Append("</p></figure>\n");
    }

    private static void Draw(StringBuilder html, ChartPoints set, int color, Func<double, double> x, Func<double, double> y)
    {
        var points = set.Points.Where(p => double.IsFinite(p.X) && double.IsFinite(p.Y)).ToList();
        if (set.IsLine && points.Count > 0)
            html.Append($"<path class=\"interp-line interp-line-{color}\" d=\"M")
                .AppendJoin('L', points.Select(p => $"{Number(x(p.X))} {Number(y(p.Y))}")).Append("\"/>");
        foreach (var p in points) Svg.Dot(html, x(p.X), y(p.Y), $"interp-line-{color}", p.Title);
    }

    private static IEnumerable<double> Steps(double low, double high, double step)
    {
        for (var v = low; v <= high + step / 2; v += step) yield return v;
    }

    private static IEnumerable<double> Decades(double last)
    {
        yield return 0;
        for (double v = 1; v <= last; v *= 10) yield return v;
    }
}
