using System.Text;

namespace InteropInterp.Tests.Tensors.Gguf;

/// <summary>Writes GGUF files field by field, right ones and wrong ones.</summary>
internal sealed class GgufBuilder
{
    private readonly MemoryStream pairs = new(), infos = new(), data = new();
    private int pairCount, tensorCount;

    public uint Version { get; init; } = 3;
    public int Alignment { get; init; } = 32;

    /// <summary>Counts that the header states, where they shall not be the true ones.</summary>
    public ulong? StatedTensors { get; init; }
    public ulong? StatedPairs { get; init; }

    public GgufBuilder Pair(string key, uint type, params object[] value)
    {
        Write(pairs, key, type);
        foreach (var part in value) Write(pairs, part);
        pairCount++;
        return this;
    }

    /// <param name="dimensions">As the file has them: fastest first.</param>
    public GgufBuilder Tensor(string name, uint type, ulong[] dimensions, byte[] bytes, ulong? offset = null)
    {
        while (data.Length % Alignment != 0) data.WriteByte(0);
        Write(infos, name, (uint)dimensions.Length);
        foreach (var d in dimensions) Write(infos, d);
        Write(infos, type, offset ?? (ulong)data.Length);
        data.Write(bytes);
        tensorCount++;
        return this;
    }

    public byte[] Build()
    {
        var file = new MemoryStream();
        file.Write("GGUF"u8);
        Write(file, Version, StatedTensors ?? (ulong)tensorCount, StatedPairs ?? (ulong)pairCount);
        file.Write(pairs.ToArray());
        file.Write(infos.ToArray());
        while (file.Length % Alignment != 0) file.WriteByte(0);
        file.Write(data.ToArray());
        return file.ToArray();
    }

    private static void Write(Stream stream, params object[] parts)
    {
        foreach (var part in parts)
            switch (part)
            {
                case string text:
                    stream.Write(BitConverter.GetBytes((ulong)Encoding.UTF8.GetByteCount(text)));
                    stream.Write(Encoding.UTF8.GetBytes(text));
                    break;
                case byte[] raw: stream.Write(raw); break;
                case byte b: stream.WriteByte(b); break;
                case sbyte b: stream.WriteByte((byte)b); break;
                case bool flag: stream.WriteByte(flag ? (byte)1 : (byte)0); break;
                case short x: stream.Write(BitConverter.GetBytes(x)); break;
                case ushort x: stream.Write(BitConverter.GetBytes(x)); break;
                case int x: stream.Write(BitConverter.GetBytes(x)); break;
                case uint x: stream.Write(BitConverter.GetBytes(x)); break;
                case long x: stream.Write(BitConverter.GetBytes(x)); break;
                case ulong x: stream.Write(BitConverter.GetBytes(x)); break;
                case float x: stream.Write(BitConverter.GetBytes(x)); break;
                case double x: stream.Write(BitConverter.GetBytes(x)); break;
                default: throw new ArgumentException($"{part.GetType()}");
            }
    }
}
