using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace InteropInterp.Tensors;

/// <summary>Where the tensors of a file to be written lie, and its header, byte for byte as the reference implementation's.</summary>
internal sealed record SafeTensorsLayout(byte[] Header, Dictionary<string, TensorEntry> Entries, long FileLength)
{
    // Throws where a string has half a surrogate pair, which no UTF-8 can carry.
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    public static SafeTensorsLayout Plan(IEnumerable<TensorDeclaration> declared, IReadOnlyDictionary<string, string>? metadata)
    {
        // Larger alignment first, so that every tensor is aligned; then by the bytes of the name.
        var tensors = declared.Select(t => (Tensor: t, Key: Encode(t.Name))).ToList();
        tensors.Sort((a, b) => a.Tensor.Type != b.Tensor.Type
            ? b.Tensor.Type.CompareTo(a.Tensor.Type)
            : a.Key.AsSpan().SequenceCompareTo(b.Key));

        var json = new StringBuilder("{");
        if (metadata is not null) AppendMetadata(json, metadata);
        var entries = new Dictionary<string, TensorEntry>(tensors.Count, StringComparer.Ordinal);
        var end = 0L;
        foreach (var (tensor, _) in tensors)
        {
            var length = Length(tensor);
            if (length > long.MaxValue / 2 - end) throw TooLarge(tensor);
            if (!entries.TryAdd(tensor.Name, new TensorEntry(tensor.Name, tensor.Type, tensor.Shape.ToArray(), end, length)))
                throw InterpException.Invalid("DUPLICATE_TENSOR", $"Tensor {Quoted.Name(tensor.Name)} is declared twice.");
            AppendTensor(json, tensor, end, end += length);
        }
        json.Append('}');
        var header = Frame(Strict.GetBytes(json.ToString()));
        foreach (var entry in entries.Values.ToList()) entries[entry.Name] = entry with { Offset = header.Length + entry.Offset };
        return new SafeTensorsLayout(header, entries, header.Length + end);
    }

    private static long Length(TensorDeclaration tensor)
    {
        if (tensor.Name == SafeTensorsHeader.MetadataKey)
            throw InterpException.Invalid("NAME_INVALID",
                $"'{SafeTensorsHeader.MetadataKey}' is not a tensor name in safetensors; choose another.");
        if (tensor.Shape.Count > TensorSize.MaxRank) throw TooLarge(tensor);
        return TensorSize.Count(tensor.Shape) is { } count && TensorSize.Bytes(count, tensor.Type.Bits()) is { } bytes
            ? bytes
            : throw TooLarge(tensor);
    }

    private static InterpException TooLarge(TensorDeclaration tensor) => InterpException.OutOfRange("TENSOR_TOO_LARGE",
        $"Tensor {Quoted.Name(tensor.Name)}, {tensor.Type} [{string.Join(", ", tensor.Shape)}], "
        + "is not a number of bytes that a file can hold.");

    private static byte[] Frame(byte[] json)
    {
        const int align = 8;
        var padded = (json.Length + align - 1) / align * align;
        if (padded > SafeTensorsHeader.MaxLength)
            throw InterpException.OutOfRange("SAFETENSORS_HEADER_TOO_LONG",
                $"The header would have {padded:N0} bytes; readers take at most {SafeTensorsHeader.MaxLength:N0}. Write several files.");
        var header = new byte[SafeTensorsHeader.LengthBytes + padded];
        header.AsSpan().Fill((byte)' ');
        BinaryPrimitives.WriteInt64LittleEndian(header, padded);
        json.CopyTo(header, SafeTensorsHeader.LengthBytes);
        return header;
    }

    private static void AppendMetadata(StringBuilder json, IReadOnlyDictionary<string, string> metadata)
    {
        AppendText(json, SafeTensorsHeader.MetadataKey).Append(":{");
        foreach (var (key, value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (json[^1] != '{') json.Append(',');
            Encode(key);
            Encode(value);
            AppendText(AppendText(json, key).Append(':'), value);
        }
        json.Append('}');
    }

    private static void AppendTensor(StringBuilder json, TensorDeclaration tensor, long begin, long end)
    {
        if (json.Length > 1) json.Append(',');
        AppendText(json, tensor.Name).Append(CultureInfo.InvariantCulture,
            $":{{\"dtype\":\"{tensor.Type}\",\"shape\":[{string.Join(',', tensor.Shape)}],\"data_offsets\":[{begin},{end}]}}");
    }

    // Exactly what Rust's serde_json escapes, and in its way; System.Text.Json escapes more.
    private static StringBuilder AppendText(StringBuilder json, string text)
    {
        json.Append('"');
        foreach (var c in text)
            switch (c)
            {
                case '"': json.Append("\\\""); break;
                case '\\': json.Append("\\\\"); break;
                case '\b': json.Append("\\b"); break;
                case '\f': json.Append("\\f"); break;
                case '\n': json.Append("\\n"); break;
                case '\r': json.Append("\\r"); break;
                case '\t': json.Append("\\t"); break;
                case < ' ': json.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"); break;
                default: json.Append(c); break;
            }
        return json.Append('"');
    }

    private static byte[] Encode(string text)
    {
        try
        {
            return Strict.GetBytes(text);
        }
        catch (EncoderFallbackException e)
        {
            throw new InterpException(ErrorCode.InvalidArgument, "NAME_INVALID",
                $"{Quoted.Name(text)} has half a surrogate pair and cannot be written as UTF-8.", innerException: e);
        }
    }
}
