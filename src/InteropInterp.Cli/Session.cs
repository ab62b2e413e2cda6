using System.Runtime.InteropServices;
using Spectre.Console;

namespace InteropInterp.Cli;

/// <summary>What all commands share: where they write, and whether they were asked to stop.</summary>
internal sealed class Session : IDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly PosixSignalRegistration[] signals;

    public Session()
    {
        signals = [PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop), PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop)];
        // Numbers and paths are for programs too: lines are not broken where no terminal is.
        if (Console.IsOutputRedirected) Out.Profile.Width = 400;
    }

    /// <summary>Standard output: results, and nothing else.</summary>
    public IAnsiConsole Out { get; } = AnsiConsole.Create(new AnsiConsoleSettings());

    /// <summary>Cancelled by Ctrl-C between two steps of the work; a second Ctrl-C ends the process.</summary>
    public CancellationToken Cancellation => stop.Token;

    private void Stop(PosixSignalContext context)
    {
        if (stop.IsCancellationRequested) return;
        context.Cancel = true;
        stop.Cancel();
    }

    public void Dispose()
    {
        foreach (var signal in signals) signal.Dispose();
        stop.Dispose();
    }
}
