using Grpc.Core;

namespace InteropInterp.Server.Calls;

/// <summary>What a client sends, message by message.</summary>
internal static class Incoming
{
    /// <summary>The next message, or null where the client has ended its side.</summary>
    /// <exception cref="OperationCanceledException">The call was ended, by whichever side.</exception>
    public static async Task<T?> Next<T>(this IAsyncStreamReader<T> reader, CancellationToken cancellation)
        where T : class
    {
        try
        {
            return await reader.MoveNext(cancellation) ? reader.Current : null;
        }
        catch (IOException e)
        {
            // Kestrel's word for a client that gave the call up or went away; the call's own token may only follow.
            throw new OperationCanceledException("The client ended the call.", e, cancellation);
        }
    }
}
