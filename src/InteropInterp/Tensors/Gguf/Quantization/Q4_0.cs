using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace InteropInterp.Tensors.Gguf.Quantization;

/// <summary>float16 scale; sixteen bytes whose low halves are codes 0-15 and whose high halves are codes 16-31, less 8.</summary>
internal sealed class Q4_0 : IQuantization
{
    public string Name => "Q4_0";
    public uint Code => 2;
    public int BlockSize => 32;
    public int BlockBytes => 18;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dequantize(ReadOnlySpan<byte> blocks, Span<float> weights)
    {
        for (; blocks.Length >= BlockBytes; blocks = blocks[BlockBytes..], weights = weights[BlockSize..])
        {
            var scale = Codes.Half(blocks);
            var packed = Codes.Load(blocks[2..]);
            var eight = Vector128.Create((byte)8);
            Codes.Write((Codes.Low(packed) - eight).AsSByte(), scale, weights);
            Codes.Write((Codes.High(packed) - eight).AsSByte(), scale, weights[16..]);
        }
    }
}
