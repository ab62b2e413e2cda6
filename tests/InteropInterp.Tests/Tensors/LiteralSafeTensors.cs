using System.Text;
using System.Text.Json;

namespace InteropInterp.Tests.Tensors;

/// <summary>The safetensors format once more, by other means than the code under test.</summary>
internal static class LiteralSafeTensors
{
    public sealed record Stored(string Name, string Type, long[] Shape, byte[] Bytes);

    /// <summary>A header of one tensor; shape and offsets as JSON.</summary>
    public static string Header(string type, string shape, string offsets, string name = "x") => Entries(Entry(name, type, shape, offsets));

    /// <summary>A header of any entries.</summary>
    public static string Entries(params string[] entries) => "{" + string.Join(',', entries) + "}";

    public static string Entry(string name, string type, string shape, string offsets) =>
        "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";

    /// <summary>A file of any header and any data.</summary>
    public static byte[] File(string header, byte[] data, ulong? statedLength = null) =>
        File(Encoding.UTF8.GetBytes(header), data, statedLength);

    public static byte[] File(byte[] header, byte[] data, ulong? statedLength = null) =>
        [.. BitConverter.GetBytes(statedLength ?? (ulong)header.Length), .. header, .. data];

    public static string HeaderOf(byte[] file) => Encoding.UTF8.GetString(file, 8, (int)BitConverter.ToUInt64(file));

    /// <summary>The tensors in header order, and the metadata.</summary>
    public static (List<Stored> Tensors, Dictionary<string, string> Metadata) Parse(byte[] file)
    {
        using var json = JsonDocument.Parse(HeaderOf(file));
        var data = file.AsSpan(8 + (int)BitConverter.ToUInt64(file));
        var tensors = new List<Stored>();
        var metadata = new Dictionary<string, string>();
        foreach (var property in json.RootElement.EnumerateObject())
            if (property.Name == "__metadata__")
                foreach (var pair in property.Value.EnumerateObject()) metadata[pair.Name] = pair.Value.GetString()!;
            else
            {
                var offsets = property.Value.GetProperty("data_offsets");
                var (begin, end) = (offsets[0].GetInt32(), offsets[1].GetInt32());
                tensors.Add(new Stored(
                    property.Name, property.Value.GetProperty("dtype").GetString()!,
                    property.Value.GetProperty("shape").EnumerateArray().Select(x => x.GetInt64()).ToArray(), data[begin..end].ToArray()));
            }
        return (tensors, metadata);
    }
}
