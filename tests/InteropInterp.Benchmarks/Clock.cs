using System.Diagnostics;

namespace InteropInterp.Benchmarks;

/// <summary>Takes the time of something done several times.</summary>
internal static class Clock
{
    /// <returns>Median and least seconds, and how often it ran.</returns>
    public static (string, double)[] Measure(Action action, int repeats = 5, int warmup = 1)
    {
        for (var i = 0; i < warmup; i++) action();
        var seconds = new double[repeats];
        for (var i = 0; i < repeats; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            var start = Stopwatch.GetTimestamp();
            action();
            seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        Array.Sort(seconds);
        var middle = repeats / 2;
        var median = repeats % 2 == 1 ? seconds[middle] : (seconds[middle - 1] + seconds[middle]) / 2;
        return [("median_s", median), ("min_s", seconds[0]), ("n", repeats)];
    }
}
