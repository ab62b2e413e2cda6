using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;
using InteropInterp.Native.Interop;

namespace InteropInterp.Tensors;

/// <summary>
/// The header of a safetensors file (github.com/huggingface/safetensors, "Format"): eight bytes of length, JSON, then the data,
/// which the tensors must cover without gap or overlap. As strict as the reference implementation, and about duplicate keys
/// stricter. Reads nothing past the file, whatever the header says.
/// </summary>
internal sealed class SafeTensorsHeader
{
    /// <summary>The reference implementation's limit, in bytes of JSON.</summary>
    public const int MaxLength = 100_000_000;

    public const int LengthBytes = 8;
    public const string MetadataKey = "__metadata__";

    private readonly MappedFile file;
    private readonly long dataStart;
    private readonly List<TensorEntry> tensors = [];
    private Dictionary<string, string>? metadata;

    private SafeTensorsHeader(MappedFile file)
    {
        this.file = file;
        dataStart = LengthBytes + ReadLength();
        var json = file.Span(LengthBytes, (int)(dataStart - LengthBytes));
        if (!Utf8.IsValid(json)) throw Broken("SAFETENSORS_HEADER_INVALID", "the header is not UTF-8");
        if (json.IsEmpty || json[0] != '{') throw Broken("SAFETENSORS_HEADER_INVALID", "the header does not begin with '{'");
        try
        {
            ReadObject(new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 16 }));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Broken("SAFETENSORS_HEADER_INVALID", $"the header is not JSON: {Quoted.Message(e)}", e);
        }
        CheckTiling();
        Entries = tensors.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
    }

    /// <summary>In the order of the data.</summary>
    public Dictionary<string, TensorEntry> Entries { get; }

    public IReadOnlyDictionary<string, string> Metadata => metadata ?? [];

    /// <exception cref="InterpException">SAFETENSORS_*, naming file, tensor, expected and found.</exception>
    public static SafeTensorsHeader Read(MappedFile file) => new(file);

    private long ReadLength()
    {
        if (file.Length < LengthBytes)
            throw Broken("SAFETENSORS_TOO_SHORT", $"it has {file.Length} bytes, and the header's length alone takes {LengthBytes}");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(file.Span(0, LengthBytes));
        var left = file.Length - LengthBytes;
        if (length > MaxLength || length > (ulong)left)
            throw Broken("SAFETENSORS_HEADER_TOO_LONG", $"the header says it has {length:N0} bytes, but "
                + (length > MaxLength ? $"at most {MaxLength:N0} are read" : $"{left:N0} are left in the file"));
        return (long)length;
    }

    private void ReadObject(Utf8JsonReader reader)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        reader.Read();
        while (NextName(ref reader, names, "the header") is { } name)
            if (name == MetadataKey) metadata = ReadMetadata(ref reader);
            else tensors.Add(ReadTensor(ref reader, name));
        // Throws where anything but white space follows.
        reader.Read();
    }

    // The next key of an object, with the reader on its value; null at the object's end.
    private string? NextName(ref Utf8JsonReader reader, HashSet<string> seen, string where)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.EndObject) return null;
        var name = reader.GetString()!;
        if (!seen.Add(name)) throw Broken("SAFETENSORS_DUPLICATE_KEY", $"{where} has the key {Quoted.Name(name)} twice");
        reader.Read();
        return name;
    }

    private Dictionary<string, string> ReadMetadata(ref Utf8JsonReader reader)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        if (reader.TokenType == JsonTokenType.Null) return values;
        Expect(reader, JsonTokenType.StartObject, MetadataKey);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (NextName(ref reader, seen, MetadataKey) is { } key)
        {
            Expect(reader, JsonTokenType.String, $"{MetadataKey}, {Quoted.Name(key)}");
            values[key] = reader.GetString()!;
        }
        return values;
    }

    private TensorEntry ReadTensor(ref Utf8JsonReader reader, string name)
    {
        var where = $"tensor {Quoted.Name(name)}";
        Expect(reader, JsonTokenType.StartObject, where);
        StorageType? type = null;
        List<long>? shape = null, offsets = null;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (NextName(ref reader, seen, where) is { } key)
            switch (key)
            {
                case "dtype": type = ReadType(ref reader, where); break;
                case "shape": shape = ReadNumbers(ref reader, $"the shape of {where}"); break;
                case "data_offsets": offsets = ReadNumbers(ref reader, $"the data_offsets of {where}"); break;
                default: reader.Skip(); break;
            }
        if (type is not { } stored || shape is null || offsets is not [var begin, var end])
            throw Broken("SAFETENSORS_HEADER_INVALID", $"{where} lacks one of dtype, shape, data_offsets: [begin, end]");
        return Entry(name, stored, shape, begin, end, where);
    }

    private TensorEntry Entry(string name, StorageType type, List<long> shape, long begin, long end, string where)
    {
        var text = $"{where}, {type} [{string.Join(", ", shape.Take(TensorSize.MaxRank))}]";
        if (shape.Count > TensorSize.MaxRank)
            throw Broken("SAFETENSORS_SIZE_MISMATCH", $"{text}..., has {shape.Count} dimensions; at most {TensorSize.MaxRank} are read");
        if (TensorSize.Count(shape) is not { } count || TensorSize.Bytes(count, type.Bits()) is not { } bytes)
            throw Broken("SAFETENSORS_SIZE_MISMATCH", $"{text}, is larger than can be addressed, or not a whole number of bytes");
        var offsets = $"data_offsets [{begin}, {end}]";
        if (begin > end || end > file.Length - dataStart)
            throw Broken("SAFETENSORS_OFFSETS_INVALID",
                $"{text}, has {offsets}, which do not lie in the {file.Length - dataStart:N0} bytes of data");
        if (end - begin != bytes)
            throw Broken("SAFETENSORS_SIZE_MISMATCH", $"{text}, takes {bytes:N0} bytes, but its {offsets} span {end - begin:N0}");
        return new TensorEntry(name, type, shape.ToArray(), dataStart + begin, bytes);
    }

    private StorageType ReadType(ref Utf8JsonReader reader, string where)
    {
        Expect(reader, JsonTokenType.String, $"the dtype of {where}");
        var name = reader.GetString()!;
        return StorageTypes.TryParse(name, out var type)
            ? type
            : throw Broken("SAFETENSORS_UNKNOWN_DTYPE",
                $"{where} has the unknown dtype {Quoted.Name(name)}; known are {string.Join(", ", StorageTypes.Names)}");
    }

    private List<long> ReadNumbers(ref Utf8JsonReader reader, string what)
    {
        Expect(reader, JsonTokenType.StartArray, what);
        var numbers = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            Expect(reader, JsonTokenType.Number, what);
            if (!reader.TryGetUInt64(out var number) || number > long.MaxValue)
                throw Broken("SAFETENSORS_HEADER_INVALID", $"{what} has an entry that is no whole number from 0 to 2^63-1");
            numbers.Add((long)number);
        }
        return numbers;
    }

    private void Expect(in Utf8JsonReader reader, JsonTokenType type, string what)
    {
        if (reader.TokenType != type) throw Broken("SAFETENSORS_HEADER_INVALID", $"{what} is a {reader.TokenType}, expected a {type}");
    }

    private void CheckTiling()
    {
        tensors.Sort((a, b) => (a.Offset, a.Length).CompareTo((b.Offset, b.Length)));
        var end = dataStart;
        foreach (var entry in tensors)
        {
            if (entry.Offset != end)
                throw Broken("SAFETENSORS_OFFSETS_INVALID",
                    $"tensor {Quoted.Name(entry.Name)} begins at byte {entry.Offset - dataStart:N0} of the data, expected "
                    + $"{end - dataStart:N0}, where the tensor before it ends: {(entry.Offset < end ? "they overlap" : "there is a gap")}");
            end += entry.Length;
        }
        if (end != file.Length)
            throw Broken("SAFETENSORS_OFFSETS_INVALID", $"{file.Length - end:N0} bytes follow the last tensor, expected none");
    }

    private InterpException Broken(string reason, string what, Exception? inner = null) =>
        InterpException.DataLoss(reason, $"'{file.Path}' is not a sound safetensors file: {what}.", inner);
}
