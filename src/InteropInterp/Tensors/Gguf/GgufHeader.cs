using InteropInterp.Native.Interop;

namespace InteropInterp.Tensors.Gguf;

/// <summary>The header of a GGUF (docs/gguf.md of github.com/ggml-org/ggml), checked as ggml's own reader checks it.</summary>
internal sealed class GgufHeader
{
    private const uint Magic = 0x46554747; // "GGUF"
    private const int DefaultAlignment = 32, MaxRank = 4;

    // The shortest description of a tensor: an empty name with its length, the rank, the type, the offset.
    private const int SmallestTensor = 8 + 4 + 4 + 8;

    public required int Version { get; init; }
    public required Dictionary<string, object> Values { get; init; }
    public required Dictionary<string, TensorEntry> Entries { get; init; }

    public static GgufHeader Read(MappedFile file)
    {
        var cursor = new GgufCursor(file);
        if (cursor.Number<uint>("the magic number") != Magic) throw cursor.Broken("GGUF_MAGIC", "it does not begin with 'GGUF'");
        var version = cursor.Number<uint>("the version");
        if (version is not (2 or 3))
            throw cursor.Broken("GGUF_VERSION_UNSUPPORTED", (version & 0xffff) == 0
                ? "it is written for big-endian machines; little-endian ones are read"
                : $"its version is {version}; 2 and 3 are read");
        var tensors = cursor.Count(SmallestTensor, "the number of tensors");
        var pairs = cursor.Count(GgufValues.SmallestPair, "the number of metadata pairs");
        var values = GgufValues.Read(cursor, pairs);
        return new GgufHeader
        {
            Version = (int)version,
            Values = values,
            Entries = Tensors(cursor, file, tensors, Alignment(cursor, values)),
        };
    }

    private static long Alignment(GgufCursor cursor, Dictionary<string, object> values)
    {
        if (!values.TryGetValue("general.alignment", out var value)) return DefaultAlignment;
        return value is long alignment and > 0 && long.IsPow2(alignment)
            ? alignment
            : throw cursor.Broken("GGUF_INVALID", $"general.alignment is {value}, expected a power of two");
    }

    private static Dictionary<string, TensorEntry> Tensors(GgufCursor cursor, MappedFile file, int count, long alignment)
    {
        var entries = new Dictionary<string, TensorEntry>(count, StringComparer.Ordinal);
        var data = 0L;
        for (var i = 0; i < count; i++)
        {
            var entry = Tensor(cursor, file);
            if (entry.Offset != data)
                throw cursor.Broken("GGUF_OFFSETS_INVALID", $"tensor {Quoted.Name(entry.Name)} begins {entry.Offset:N0} bytes into "
                    + $"the data, expected {data:N0}: after the tensor before it");
            data = Align(cursor, data, entry.Length, alignment);
            if (!entries.TryAdd(entry.Name, entry))
                throw cursor.Broken("GGUF_DUPLICATE_KEY", $"the tensor {Quoted.Name(entry.Name)} occurs twice");
        }
        // Offsets count from the first aligned byte after the descriptions, which are complete only now.
        var start = Align(cursor, 0, cursor.Position, alignment);
        foreach (var entry in entries.Values.ToList())
        {
            if (entry.Offset > file.Length - entry.Length - start)
                throw cursor.Broken("GGUF_TRUNCATED", $"tensor {Quoted.Name(entry.Name)} ends {entry.Offset + entry.Length:N0} bytes into "
                    + $"the data, which has {Math.Max(0, file.Length - start):N0}");
            entries[entry.Name] = entry with { Offset = start + entry.Offset };
        }
        return entries;
    }

    private static TensorEntry Tensor(GgufCursor cursor, MappedFile file)
    {
        var name = cursor.Text("a tensor name");
        var quoted = Quoted.Name(name);
        var rank = cursor.Number<uint>($"the rank of tensor {quoted}");
        if (rank > MaxRank) throw cursor.Broken("GGUF_INVALID", $"tensor {quoted} has {rank} dimensions, expected at most {MaxRank}");
        var shape = new long[rank];
        // The file lists the fastest dimension first.
        for (var i = (int)rank - 1; i >= 0; i--) shape[i] = cursor.Number<long>($"the shape of tensor {quoted}");
        var (type, quantization) = GgufTypes.Find(cursor.Number<uint>($"the type of tensor {quoted}"), quoted, file.Path);
        var offset = cursor.Number<long>($"the offset of tensor {quoted}");

        var text = $"tensor {quoted} of shape [{string.Join(", ", shape)}] and type {quantization?.Name ?? type.ToString()}";
        if (TensorSize.Count(shape) is not { } count) throw cursor.Broken("GGUF_INVALID", $"{text} has a negative or too large size");
        if (quantization is not null && (rank == 0 || shape[^1] % quantization.BlockSize != 0))
            throw cursor.Broken("GGUF_INVALID", $"{text} has rows that are not whole blocks of {quantization.BlockSize}");
        var length = quantization is null
            ? TensorSize.Bytes(count, type.Bits())
            : TensorSize.Bytes(count / quantization.BlockSize, quantization.BlockBytes * 8);
        if (length is not { } bytes || bytes > file.Length)
            throw cursor.Broken("GGUF_TRUNCATED", $"{text} needs more bytes than the file's {file.Length:N0}");
        return new TensorEntry(name, type, shape, offset, bytes) { Quantization = quantization };
    }

    // start + length, rounded up; sizes from a file may reach past 63 bits.
    private static long Align(GgufCursor cursor, long start, long length, long alignment)
    {
        var end = ((Int128)start + length + alignment - 1) / alignment * alignment;
        return end <= long.MaxValue
            ? (long)end
            : throw cursor.Broken("GGUF_OFFSETS_INVALID", "its tensors add up to more than can be addressed");
    }
}
