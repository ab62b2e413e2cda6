using System.Globalization;

namespace InteropInterp.Reports;

/// <summary>Where a chart's axis has its rules, and what stands there.</summary>
internal static class AxisTicks
{
    /// <summary>Some five steps of 1, 2 or 5 times a power of ten, from at or below the lowest value to at or above the highest.</summary>
    public static (double Low, double High, double Step) Of(double low, double high)
    {
        if (high <= low) high = low + 1;
        var raw = (high - low) / 5;
        var power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        var step = power * (raw / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 };
        return (Math.Floor(low / step) * step, Math.Ceiling(high / step) * step, step);
    }

    public static string Text(double value) => Math.Round(value, 4).ToString(CultureInfo.InvariantCulture);
}
