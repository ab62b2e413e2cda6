namespace InteropInterp.Reports;

/// <summary>
/// How strong a colour shows a value: blue from 0 to the limit, and red for what is below 0. The colour is laid over the page
/// by its opacity, so that it reads on light and dark.
/// </summary>
/// <param name="Limit">The value, and its negative, that is shown at full strength; above 0.</param>
public sealed record ColorScale(double Limit)
{
    /// <summary>0 to 1: attention, shares.</summary>
    public static ColorScale Unit { get; } = new(1);

    /// <summary>Up to the largest absolute value there is.</summary>
    public static ColorScale Of(IEnumerable<double> values) =>
        new(values.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(1).Max() is var largest and > 0 ? largest : 1);

    /// <summary>0 to 1; 0 for what is no number.</summary>
    public double Strength(double value) => double.IsNaN(value) ? 0 : Math.Min(1, Math.Abs(value) / Limit);
}
