using Microsoft.Extensions.Logging;

namespace InteropInterp.Server;

/// <summary>Everything the server writes to its log.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "Listening on {Addresses}; version {Version}, libtorch {LibTorch} ({Origin}), {Threads} threads, models below {Roots}")]
    public static partial void Listening(ILogger logger, string addresses, string version, string libTorch, string origin, int threads, string roots);

    [LoggerMessage(2, LogLevel.Information, "Stopping: calls in progress have {Seconds} s")]
    public static partial void Stopping(ILogger logger, double seconds);

    [LoggerMessage(3, LogLevel.Error, "{Method} failed: {Incident}")]
    public static partial void Failed(ILogger logger, Exception error, string method, string incident);

    [LoggerMessage(4, LogLevel.Information, "{Method} refused: {Code} {Reason}: {Message}")]
    public static partial void Refused(ILogger logger, string method, ErrorCode code, string reason, string message);

    [LoggerMessage(5, LogLevel.Debug, "{Method} took {Milliseconds:F1} ms")]
    public static partial void Done(ILogger logger, string method, double milliseconds);

    [LoggerMessage(6, LogLevel.Information, "Session opened; {Count} are open")]
    public static partial void SessionOpened(ILogger logger, int count);

    [LoggerMessage(7, LogLevel.Information, "Session ended; {Count} are open")]
    public static partial void SessionEnded(ILogger logger, int count);

    [LoggerMessage(8, LogLevel.Warning, "A call from {Peer} without a valid token was refused")]
    public static partial void Unauthenticated(ILogger logger, string peer);

    [LoggerMessage(9, LogLevel.Error, "Housekeeping failed")]
    public static partial void HousekeepingFailed(ILogger logger, Exception error);
}
