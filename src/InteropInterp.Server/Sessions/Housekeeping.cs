using InteropInterp.Protocol.Tensors;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace InteropInterp.Server.Sessions;

/// <summary>Lets go what nobody has used for long: tensors whose time is over, sessions whose client is gone.</summary>
internal sealed class Housekeeping(SessionRegistry sessions, TensorStore tensors, TimeProvider clock, ILogger<Housekeeping> logger) : BackgroundService
{
    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken)) Once();
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    private void Once()
    {
        try
        {
            tensors.DeleteExpired();
            sessions.EndIdle();
        }
        catch (Exception e)
        {
            Log.HousekeepingFailed(logger, e);
        }
    }
}
