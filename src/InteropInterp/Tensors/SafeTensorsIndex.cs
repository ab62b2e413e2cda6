using System.Text.Json;
using InteropInterp.Native.Interop;

namespace InteropInterp.Tensors;

/// <summary>The <c>weight_map</c> of an index: tensor name to file name. Its <c>metadata</c> (total_size) is not needed.</summary>
internal static class SafeTensorsIndex
{
    /// <exception cref="InterpException">INDEX_INVALID, INDEX_DUPLICATE_KEY, INDEX_FILE_NAME.</exception>
    public static Dictionary<string, string> Read(string path)
    {
        using var file = MappedFile.Open(path);
        if (file.Length > SafeTensorsHeader.MaxLength)
            throw Broken(path, "INDEX_INVALID", $"it has {file.Length:N0} bytes; at most {SafeTensorsHeader.MaxLength:N0} are read");
        try
        {
            var reader = new Utf8JsonReader(file.Span(0, (int)file.Length), new JsonReaderOptions { MaxDepth = 16 });
            return Parse(ref reader, path);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Broken(path, "INDEX_INVALID", $"it is not JSON: {Quoted.Message(e)}", e);
        }
    }

    private static Dictionary<string, string> Parse(ref Utf8JsonReader reader, string path)
    {
        Dictionary<string, string>? map = null;
        Expect(ref reader, JsonTokenType.StartObject, "it", path);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            if (!reader.ValueTextEquals("weight_map"u8)) reader.Skip();
            else if (map is not null) throw Broken(path, "INDEX_DUPLICATE_KEY", "it has 'weight_map' twice");
            else map = ParseMap(ref reader, path);
        // Throws where anything but white space follows.
        reader.Read();
        return map is { Count: > 0 } ? map : throw Broken(path, "INDEX_INVALID", "it has no 'weight_map'");
    }

    private static Dictionary<string, string> ParseMap(ref Utf8JsonReader reader, string path)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        Expect(ref reader, JsonTokenType.StartObject, "weight_map", path);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            Expect(ref reader, JsonTokenType.String, $"the file of tensor {Quoted.Name(name)}", path);
            var file = reader.GetString()!;
            // A name from a download must not reach out of its folder.
            if (file is "" or "." or ".." || file.AsSpan().ContainsAny('/', '\\', '\0'))
                throw Broken(path, "INDEX_FILE_NAME",
                    $"tensor {Quoted.Name(name)} is in {Quoted.Name(file)}, expected the plain name of a file beside the index");
            if (!map.TryAdd(name, file)) throw Broken(path, "INDEX_DUPLICATE_KEY", $"it has tensor {Quoted.Name(name)} twice");
        }
        return map;
    }

    private static void Expect(ref Utf8JsonReader reader, JsonTokenType type, string what, string path)
    {
        reader.Read();
        if (reader.TokenType != type) throw Broken(path, "INDEX_INVALID", $"{what} is a {reader.TokenType}, expected a {type}");
    }

    private static InterpException Broken(string path, string reason, string what, Exception? inner = null) =>
        InterpException.DataLoss(reason, $"'{path}' is not a sound safetensors index: {what}.", inner);
}
