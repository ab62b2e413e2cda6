using System.Buffers;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace InteropInterp.Python;

/// <summary>How an error crosses the boundary: its code is the call's, the rest is JSON {reason, message, suggestions, detail}.</summary>
internal static class ErrorReply
{
    public static byte[] Write(Exception error, out int code)
    {
        var (kind, reason, message, suggestions) = error switch
        {
            InterpException e => (e.Code, e.Reason, e.Message, e.Suggestions),
            OperationCanceledException => (ErrorCode.Cancelled, "CANCELLED", "The call was cancelled.", []),
            OutOfMemoryException e => (ErrorCode.ResourceExhausted, "OUT_OF_MEMORY", e.Message, []),
            ExternalException e => (ErrorCode.Internal, "LIBTORCH_ERROR", FirstLine(e.Message), []),
            _ => (ErrorCode.Internal, "INTERNAL_ERROR", $"{error.GetType().Name}: {error.Message}", Array.Empty<string>()),
        };
        code = (int)kind;
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("reason", reason);
            json.WriteString("message", message);
            json.WriteStartArray("suggestions");
            foreach (var suggestion in suggestions) json.WriteStringValue(suggestion);
            json.WriteEndArray();
            json.WriteString("detail", error.ToString());
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    // libtorch puts a C++ stack trace behind its message.
    private static string FirstLine(string message)
    {
        var end = message.IndexOf('\n', StringComparison.Ordinal);
        return end < 0 ? message : message[..end];
    }
}
