using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace InteropInterp.Tensors.Gguf.Quantization;

/// <summary>What block formats have in common: sixteen small integers at a time become float32 weights.</summary>
internal static class Codes
{
    /// <summary>Sixteen codes a vector.</summary>
    public const int Lanes = 16;

    /// <summary>The float16 number a block begins with, or has at <paramref name="at"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Half(ReadOnlySpan<byte> block, int at = 0) => (float)BinaryPrimitives.ReadHalfLittleEndian(block[at..]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Load(ReadOnlySpan<byte> codes) => Vector128.Create(codes[..Lanes]);

    /// <summary>The low four bits of each byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Low(Vector128<byte> packed) => packed & Vector128.Create((byte)0x0f);

    /// <summary>The high four bits of each byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> High(Vector128<byte> packed) => Vector128.ShiftRightLogical(packed, 4);

    /// <summary>Bit i of <paramref name="bits"/> as the fifth bit (16) of lane i.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Fifth(uint bits)
    {
        var lane = Vector128.Create((byte)1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128);
        const ulong everyByte = 0x0101010101010101;
        var spread = Vector128.Create((byte)bits * everyByte, (byte)(bits >> 8) * everyByte).AsByte();
        return Vector128.Equals(spread & lane, lane) & Vector128.Create((byte)16);
    }

    /// <summary>weight = code · scale + minimum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(Vector128<byte> codes, float scale, float minimum, Span<float> weights)
    {
        var (low, high) = Vector128.Widen(codes);
        Write(low.AsInt16(), scale, minimum, weights);
        Write(high.AsInt16(), scale, minimum, weights[8..]);
    }

    /// <summary>weight = code · scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(Vector128<sbyte> codes, float scale, Span<float> weights)
    {
        var (low, high) = Vector128.Widen(codes);
        Write(low, scale, weights);
        Write(high, scale, weights[8..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write(Vector128<short> codes, float scale, float minimum, Span<float> weights)
    {
        var (low, high) = Vector128.Widen(codes);
        (Vector128.ConvertToSingle(low) * scale + Vector128.Create(minimum)).CopyTo(weights);
        (Vector128.ConvertToSingle(high) * scale + Vector128.Create(minimum)).CopyTo(weights[4..]);
    }

    // Without a minimum there is no addition: -0 stays -0.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write(Vector128<short> codes, float scale, Span<float> weights)
    {
        var (low, high) = Vector128.Widen(codes);
        (Vector128.ConvertToSingle(low) * scale).CopyTo(weights);
        (Vector128.ConvertToSingle(high) * scale).CopyTo(weights[4..]);
    }
}
