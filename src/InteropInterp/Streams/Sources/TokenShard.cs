using System.Buffers.Binary;
using InteropInterp.Native.Interop;
using InteropInterp.Tensors;

namespace InteropInterp.Streams.Sources;

/// <summary>Token ids in one file, mapped into memory: .npy, .safetensors, or nothing but numbers, little-endian.</summary>
internal sealed class TokenShard : IDisposable
{
    private readonly MappedFile file;
    private readonly StorageType type;
    private readonly long start;

    private TokenShard(MappedFile file, StorageType type, IReadOnlyList<long> shape, long start)
    {
        (this.file, this.type, this.start) = (file, type, start);
        Size = type switch
        {
            StorageType.U8 => 1,
            StorageType.U16 or StorageType.I16 => 2,
            StorageType.U32 or StorageType.I32 => 4,
            StorageType.U64 or StorageType.I64 => 8,
            _ => throw InterpException.Invalid("TOKEN_SHARD_TYPE", $"'{file.Path}' holds {type}; token ids are whole numbers: U8, U16, U32, I32, I64."),
        };
        InterpException.Require(shape.Count is 1 or 2, "TOKEN_SHARD_SHAPE",
            $"'{file.Path}' holds [{string.Join(", ", shape)}]; [tokens] or [rows, tokens] is expected.");
        Count = TensorSize.Count(shape) ?? long.MaxValue;
        if (Count > (file.Length - start) / Size)
            throw InterpException.DataLoss("TOKEN_SHARD_CUT_OFF",
                $"'{file.Path}' says it holds [{string.Join(", ", shape)}] of {type}; its {file.Length:N0} bytes are too few.");
        Width = shape.Count == 2 ? shape[1] : null;
        InterpException.Require(Width is null or (> 0 and <= int.MaxValue), "TOKEN_SHARD_SHAPE",
            $"'{file.Path}' holds [{string.Join(", ", shape)}]: rows of {Width} tokens.");
    }

    /// <summary>Tokens in all.</summary>
    public long Count { get; }

    /// <summary>Tokens in each row; null where they are one run of tokens.</summary>
    public long? Width { get; }

    private int Size { get; }

    /// <param name="raw">How numbers lie in a file without a header.</param>
    /// <param name="tensor">Which tensor of a safetensors file; null: its only one.</param>
    /// <exception cref="InterpException">TOKEN_SHARD_TYPE, TOKEN_SHARD_SHAPE, TOKEN_SHARD_CUT_OFF, NPY_INVALID, SAFETENSORS_*,
    /// UNKNOWN_TENSOR, FILE_NOT_FOUND.</exception>
    public static TokenShard Open(string path, StorageType raw, string? tensor)
    {
        var file = MappedFile.Open(path);
        try
        {
            if (path.EndsWith(".npy", StringComparison.OrdinalIgnoreCase))
            {
                var header = NpyHeader.Read(file);
                return new TokenShard(file, TypeOf(header.Type, path), header.Shape, header.DataStart);
            }
            if (path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase))
            {
                var entry = Entry(path, SafeTensorsHeader.Read(file).Entries, tensor);
                return new TokenShard(file, entry.Type, entry.Shape, entry.Offset);
            }
            var size = raw.Bits() / 8;
            if (size == 0 || file.Length % size != 0)
                throw InterpException.DataLoss("TOKEN_SHARD_CUT_OFF", $"'{path}' has {file.Length:N0} bytes, no whole number of {raw}.");
            return new TokenShard(file, raw, [file.Length / size], 0);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Tokens from one on.</summary>
    /// <exception cref="InterpException">TOKEN_OUT_OF_RANGE: a number that is no token id.</exception>
    public void Read(long first, Span<int> into)
    {
        var bytes = file.Span(start + first * Size, into.Length * Size);
        for (var i = 0; i < into.Length; i++)
        {
            var one = bytes.Slice(i * Size, Size);
            var value = type switch
            {
                StorageType.U8 => one[0],
                StorageType.U16 => BinaryPrimitives.ReadUInt16LittleEndian(one),
                StorageType.I16 => BinaryPrimitives.ReadInt16LittleEndian(one),
                StorageType.U32 => BinaryPrimitives.ReadUInt32LittleEndian(one),
                StorageType.I32 => BinaryPrimitives.ReadInt32LittleEndian(one),
                _ => BinaryPrimitives.ReadInt64LittleEndian(one),
            };
            if (value is < 0 or > int.MaxValue)
                throw InterpException.OutOfRange("TOKEN_OUT_OF_RANGE", $"'{file.Path}', token {first + i}: {value} is no token id.");
            into[i] = (int)value;
        }
    }

    public void Dispose() => file.Dispose();

    private static TensorEntry Entry(string path, Dictionary<string, TensorEntry> entries, string? tensor)
    {
        if (tensor is not null)
            return entries.TryGetValue(tensor, out var named) ? named : throw InterpException.Unknown("UNKNOWN_TENSOR", "tensor", tensor, entries.Keys);
        return entries.Count == 1 ? entries.Values.First() : throw InterpException.Invalid("SEVERAL_TENSORS",
            $"'{path}' has {entries.Count} tensors ({string.Join(", ", entries.Keys.Take(5))}); name the one that holds tokens.");
    }

    private static StorageType TypeOf(string descr, string path) => descr switch
    {
        "|u1" => StorageType.U8,
        "<u2" => StorageType.U16,
        "<i2" => StorageType.I16,
        "<u4" => StorageType.U32,
        "<i4" => StorageType.I32,
        "<i8" => StorageType.I64,
        "<u8" => StorageType.U64,
        _ => throw InterpException.Invalid("TOKEN_SHARD_TYPE",
            $"'{path}' holds '{descr}'; token ids are whole numbers, little-endian: '<u2', '<u4', '<i4', '<i8'."),
    };
}
