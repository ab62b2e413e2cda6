using InteropInterp.Randomness;

namespace InteropInterp.Patching;

/// <summary>What one metric is in every cell of a sweep.</summary>
public sealed class SweepValues
{
    /// <summary>Per cell, in the order of the grid; the mean over rows.</summary>
    public required IReadOnlyList<double> Values { get; init; }

    /// <summary>[cells · rows]; null for a callable metric, which sees all rows at once.</summary>
    public IReadOnlyList<double>? PerRow { get; init; }

    /// <summary>Of the base run, nothing replaced.</summary>
    public required double Baseline { get; init; }

    /// <summary>Of the clean and the corrupted runs, where the sweep has corruptions; else null.</summary>
    public SweepEnds? Ends { get; init; }

    /// <summary>Per cell, 0 as in the corrupted run and 1 as in the clean one.</summary>
    /// <exception cref="InterpException">NO_CORRUPTIONS; TASK_NOT_SOLVED where both are the same.</exception>
    public IReadOnlyList<double> Normalized
    {
        get
        {
            InterpException.Require(Ends is not null, "NO_CORRUPTIONS", "The sweep's source is no SweepCorruptions: what the other end of the scale is, is not known.");
            return [.. Values.Select((value, cell) => Ends.Normalized(cell, value))];
        }
    }

    /// <summary>Of a cell's rows.</summary>
    /// <param name="cell">Its place among <see cref="Values"/>.</param>
    /// <param name="level">How often the interval is to hold the mean: a percentile bootstrap over rows.</param>
    /// <param name="seed">Of the resampling: the same seed gives the same interval.</param>
    /// <exception cref="InterpException">NO_ROWS_KNOWN for a callable metric; INVALID_OPTION.</exception>
    public SweepStatistics Statistics(int cell, double level = 0.95, int resamples = 2000, ulong seed = 0)
    {
        InterpException.Require(PerRow is not null, "NO_ROWS_KNOWN", "A callable metric gives one number for all rows: there is no spread over them. Declare the metric.");
        InterpException.Require(level is > 0 and < 1 && resamples > 0, "INVALID_OPTION", $"A level of {level} with {resamples} resamples: between 0 and 1, and at least one, are expected.");
        if (cell < 0 || cell >= Values.Count) throw InterpException.OutOfRange("CELL_OUT_OF_RANGE", $"Cell {cell} is out of range: the sweep has {Values.Count}.");
        var count = PerRow.Count / Values.Count;
        var rows = new double[count];
        for (var i = 0; i < count; i++) rows[i] = PerRow[cell * count + i];
        var mean = rows.Average();
        double? error = count > 1 ? Math.Sqrt(rows.Sum(x => (x - mean) * (x - mean)) / (count - 1) / count) : null;
        var draws = new CounterDraws(seed, cell);
        var means = new double[resamples];
        for (var i = 0; i < resamples; i++)
        {
            double sum = 0;
            for (var r = 0; r < count; r++) sum += rows[draws.Below(count)];
            means[i] = sum / count;
        }
        Array.Sort(means);
        double Quantile(double q) => means[(int)Math.Clamp(Math.Round(q * (resamples - 1)), 0, resamples - 1)];
        return new SweepStatistics(mean, error, Quantile((1 - level) / 2), Quantile((1 + level) / 2));
    }
}

/// <summary>The spread of a cell's value over rows.</summary>
/// <param name="StandardError">Of the mean; null for one row.</param>
/// <param name="Low">The interval's lower end.</param>
/// <param name="High">Its upper end.</param>
public sealed record SweepStatistics(double Mean, double? StandardError, double Low, double High);
