using System.Globalization;
using System.Runtime.InteropServices;

namespace InteropInterp.TestKit;

/// <summary>The kernel's count of the most memory this process has held.</summary>
public static partial class PeakMemory
{
    /// <summary>Starts anew, once what is free has gone back: memory that is used again would not be counted.</summary>
    /// <returns>Bytes held now.</returns>
    public static long Reset()
    {
        _ = Trim(0);
        File.WriteAllText("/proc/self/clear_refs", "5");
        return Line("VmRSS:");
    }

    /// <returns>The most bytes held since <see cref="Reset"/>.</returns>
    public static long Read() => Line("VmHWM:");

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int Trim(nuint keep);

    private static long Line(string name)
    {
        var line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(name, StringComparison.Ordinal));
        return long.Parse(line[name.Length..^" kB".Length], CultureInfo.InvariantCulture) * 1024;
    }
}
