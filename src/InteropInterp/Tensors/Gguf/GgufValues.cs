namespace InteropInterp.Tensors.Gguf;

/// <summary>The key-value part of a GGUF header.</summary>
internal static class GgufValues
{
    private enum Kind : uint { UInt8, Int8, UInt16, Int16, UInt32, Int32, Float32, Bool, String, Array, UInt64, Int64, Float64 }

    // The shortest pair: a key of one byte with its length, the type, a value of one byte.
    public const int SmallestPair = 8 + 1 + 4 + 1;

    public static Dictionary<string, object> Read(GgufCursor cursor, int count)
    {
        var values = new Dictionary<string, object>(count, StringComparer.Ordinal);
        for (var i = 0; i < count; i++)
        {
            var key = cursor.Text("a metadata key");
            if (key.Length == 0) throw cursor.Broken("GGUF_INVALID", "a metadata key is empty");
            var value = Value(cursor, (Kind)cursor.Number<uint>("a metadata type"), $"the value of {Quoted.Name(key)}");
            if (!values.TryAdd(key, value)) throw cursor.Broken("GGUF_DUPLICATE_KEY", $"the metadata key {Quoted.Name(key)} occurs twice");
        }
        return values;
    }

    private static object Value(GgufCursor cursor, Kind kind, string what) => kind switch
    {
        Kind.UInt8 => (long)cursor.Number<byte>(what),
        Kind.Int8 => (long)cursor.Number<sbyte>(what),
        Kind.UInt16 => (long)cursor.Number<ushort>(what),
        Kind.Int16 => (long)cursor.Number<short>(what),
        Kind.UInt32 => (long)cursor.Number<uint>(what),
        Kind.Int32 => (long)cursor.Number<int>(what),
        Kind.Int64 => cursor.Number<long>(what),
        Kind.UInt64 => cursor.Number<ulong>(what),
        Kind.Float32 => (double)cursor.Number<float>(what),
        Kind.Float64 => cursor.Number<double>(what),
        Kind.Bool => Flags(cursor, 1, what)[0],
        Kind.String => cursor.Text(what),
        Kind.Array => Array(cursor, (Kind)cursor.Number<uint>(what), what),
        _ => throw cursor.Broken("GGUF_INVALID", $"{what} has the unknown type {(uint)kind}"),
    };

    private static object Array(GgufCursor cursor, Kind kind, string what) => kind switch
    {
        Kind.UInt8 => Numbers<byte>(cursor, 1, what),
        Kind.Int8 => Numbers<sbyte>(cursor, 1, what),
        Kind.UInt16 => Numbers<ushort>(cursor, 2, what),
        Kind.Int16 => Numbers<short>(cursor, 2, what),
        Kind.UInt32 => Numbers<uint>(cursor, 4, what),
        Kind.Int32 => Numbers<int>(cursor, 4, what),
        Kind.UInt64 => Numbers<ulong>(cursor, 8, what),
        Kind.Int64 => Numbers<long>(cursor, 8, what),
        Kind.Float32 => Numbers<float>(cursor, 4, what),
        Kind.Float64 => Numbers<double>(cursor, 8, what),
        Kind.Bool => Flags(cursor, cursor.Count(1, $"the length of {what}"), what),
        Kind.String => Texts(cursor, cursor.Count(8, $"the length of {what}"), what),
        // As in ggml's own reader, which has no arrays of arrays either.
        _ => throw cursor.Broken("GGUF_INVALID", $"{what} is an array of the type {(uint)kind}, which is not read"),
    };

    private static T[] Numbers<T>(GgufCursor cursor, int size, string what) where T : unmanaged =>
        cursor.Numbers<T>(cursor.Count(size, $"the length of {what}"), what);

    private static string[] Texts(GgufCursor cursor, int count, string what)
    {
        var texts = new string[count];
        for (var i = 0; i < count; i++) texts[i] = cursor.Text(what);
        return texts;
    }

    private static bool[] Flags(GgufCursor cursor, int count, string what)
    {
        var bytes = cursor.Take(count, what);
        if (bytes.ContainsAnyExceptInRange((byte)0, (byte)1))
            throw cursor.Broken("GGUF_INVALID", $"{what} has a flag that is neither 0 nor 1");
        var flags = new bool[count];
        for (var i = 0; i < count; i++) flags[i] = bytes[i] == 1;
        return flags;
    }
}
