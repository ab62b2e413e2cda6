using System.Runtime.InteropServices;

namespace InteropInterp.Native.Loading;

/// <summary>
/// How libtorch's threads wait for each other. OpenMP's own default is to spin for milliseconds before they sleep; on a machine
/// that others use too, every small product then waits for a thread that waits for a processor (an order of magnitude was measured).
/// A short spin costs an idle machine nothing that shows.
/// </summary>
internal static partial class ThreadWaits
{
    private const string Spins = "1000";

    /// <summary>Says so to the OpenMP library about to be loaded, unless the user has said something else.</summary>
    public static void Shorten()
    {
        if (Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is not null) return;
        // .NET's own table of variables is not the one that native code reads. An existing value stays.
        _ = SetVariable("GOMP_SPINCOUNT", Spins, overwrite: 0);
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
