using System.Buffers;
using System.Text.Json;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Python;

/// <summary>How an error crosses the boundary: its code is the call's, the rest is JSON {reason, message, suggestions, detail}.</summary>
internal static class ErrorReply
{
    public static byte[] Write(Exception thrown, out int code)
    {
        var error = ErrorMapping.ToInterp(thrown);
        code = (int)error.Code;
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("reason", error.Reason);
            json.WriteString("message", error.Message);
            json.WriteStartArray("suggestions");
            foreach (var suggestion in error.Suggestions) json.WriteStringValue(suggestion);
            json.WriteEndArray();
            json.WriteString("detail", thrown.ToString());
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }
}
