using InteropInterp.Native.Interop;

namespace InteropInterp.Native.Loading;

/// <summary>
/// How libtorch's threads wait for each other. OpenMP's own default is to spin for milliseconds before they sleep; on a machine
/// that others use too, every small product then waits for a thread that waits for a processor (an order of magnitude was measured).
/// A short spin costs an idle machine nothing that shows.
/// </summary>
internal static class ThreadWaits
{
    private const string Spins = "1000";

    /// <summary>Says so to the OpenMP library about to be loaded, unless the user has said something else.</summary>
    public static void Shorten()
    {
        if (Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null) NativeEnvironment.Default("GOMP_SPINCOUNT", Spins);
    }
}
