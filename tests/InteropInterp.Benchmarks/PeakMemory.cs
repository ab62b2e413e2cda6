using System.Globalization;

namespace InteropInterp.Benchmarks;

/// <summary>The kernel's count of the most memory this process has held.</summary>
internal static class PeakMemory
{
    /// <summary>Starts anew.</summary>
    /// <returns>Bytes held now.</returns>
    public static long Reset()
    {
        File.WriteAllText("/proc/self/clear_refs", "5");
        return Line("VmRSS:");
    }

    /// <returns>The most bytes held since <see cref="Reset"/>.</returns>
    public static long Read() => Line("VmHWM:");

    private static long Line(string name)
    {
        var line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(name, StringComparison.Ordinal));
        return long.Parse(line[name.Length..^" kB".Length], CultureInfo.InvariantCulture) * 1024;
    }
}
