using System.Runtime.InteropServices;

namespace InteropInterp.Tensors;

/// <summary>U16, U32 and U64, which TorchSharp has no dtypes for, as float64.</summary>
internal static class UnsignedIntegers
{
    public static bool Has(StorageType type) => type is StorageType.U16 or StorageType.U32 or StorageType.U64;

    /// <param name="narrowed">
    /// The result is rounded once more, to float32 or less. Numbers beyond 53 bits then keep a mark of what lies below, so that
    /// rounding twice gives what rounding once would.
    /// </param>
    public static void Decode(StorageType type, ReadOnlySpan<byte> source, Span<double> numbers, bool narrowed)
    {
        switch (type)
        {
            case StorageType.U16:
                var shorts = MemoryMarshal.Cast<byte, ushort>(source);
                for (var i = 0; i < shorts.Length; i++) numbers[i] = shorts[i];
                break;
            case StorageType.U32:
                var integers = MemoryMarshal.Cast<byte, uint>(source);
                for (var i = 0; i < integers.Length; i++) numbers[i] = integers[i];
                break;
            default:
                var longs = MemoryMarshal.Cast<byte, ulong>(source);
                for (var i = 0; i < longs.Length; i++) numbers[i] = narrowed ? RoundedToOdd(longs[i]) : longs[i];
                break;
        }
    }

    private static double RoundedToOdd(ulong value) =>
        value < 1UL << 53 ? value : (double)(value >> 11 | (value << 53 == 0 ? 0UL : 1UL)) * 2048;
}
