namespace InteropInterp.Native.Devices;

/// <summary>
/// Lets work on a caller's own thread notice, between its steps, that the caller wants it to stop: by a cancelled token, or by
/// whatever the door the call came through watches (Python's Ctrl-C). Call <see cref="Check"/> in every loop that may take long.
/// </summary>
public static class Interrupts
{
    [ThreadStatic] private static Action? watch;

    /// <summary>How often a thread that waits looks, in milliseconds.</summary>
    public const int PollInterval = 50;

    /// <summary>Whether this thread's door watches for anything but tokens.</summary>
    internal static bool IsWatched => watch is not null;

    /// <summary>
    /// From here to the disposal of what is returned, on this thread, <see cref="Check"/> calls <paramref name="check"/>, which
    /// throws to stop the work.
    /// </summary>
    public static Watching Watch(Action? check)
    {
        var outer = watch;
        watch = check;
        return new Watching(outer);
    }

    /// <exception cref="InterpException">CANCELLED, or what the watch throws.</exception>
    public static void Check(CancellationToken cancellation = default)
    {
        watch?.Invoke();
        if (cancellation.IsCancellationRequested) throw Cancelled();
    }

    internal static InterpException Cancelled() => new(ErrorCode.Cancelled, "CANCELLED", "The call was cancelled.");

    /// <summary>A watch; disposing it brings the outer one back.</summary>
    public readonly struct Watching(Action? outer) : IDisposable
    {
        public void Dispose() => watch = outer;
    }
}
