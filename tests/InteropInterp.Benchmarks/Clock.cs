using System.Diagnostics;
using InteropInterp.Models;
using static TorchSharp.torch;

namespace InteropInterp.Benchmarks;

/// <summary>Takes the time of something done several times, and waits for the device that does it.</summary>
internal sealed class Clock(Device device)
{
    /// <returns>
    /// Median and least seconds, how often it ran, and the median of processor seconds of all its threads: what is left to compare
    /// by on a machine that others use too (on one thread, where none spins while it waits).
    /// </returns>
    public (string, double)[] Measure(Action action, int repeats = 5, int warmup = 1)
    {
        for (var i = 0; i < warmup; i++) action();
        Devices.Synchronize(device);
        var (seconds, processor) = (new double[repeats], new double[repeats]);
        for (var i = 0; i < repeats; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            var (start, used) = (Stopwatch.GetTimestamp(), Environment.CpuUsage.TotalTime);
            action();
            Devices.Synchronize(device);
            seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
            processor[i] = (Environment.CpuUsage.TotalTime - used).TotalSeconds;
        }
        return [("median_s", Median(seconds)), ("min_s", seconds[0]), ("n", repeats), ("processor_s", Median(processor))];
    }

    /// <summary>Two actions in turn, so that both see the same machine.</summary>
    /// <returns>The median seconds of each.</returns>
    public (double First, double Second) Pair(Action first, Action second, int repeats)
    {
        first();
        second();
        var (one, two) = (new double[repeats], new double[repeats]);
        for (var i = 0; i < repeats; i++)
        {
            (one[i], two[i]) = (Seconds(first), Seconds(second));
        }
        return (Median(one), Median(two));
    }

    private double Seconds(Action action)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var start = Stopwatch.GetTimestamp();
        action();
        Devices.Synchronize(device);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static double Median(double[] values)
    {
        Array.Sort(values);
        var middle = values.Length / 2;
        return values.Length % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    }
}
