using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace InteropInterp.Tensors.Gguf.Quantization;

/// <summary>float16 scale, float16 minimum; the fifth bits of codes 0-31; their lower four bits as in Q4_1.</summary>
internal sealed class Q5_1 : IQuantization
{
    public string Name => "Q5_1";
    public uint Code => 7;
    public int BlockSize => 32;
    public int BlockBytes => 24;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dequantize(ReadOnlySpan<byte> blocks, Span<float> weights)
    {
        for (; blocks.Length >= BlockBytes; blocks = blocks[BlockBytes..], weights = weights[BlockSize..])
        {
            var (scale, minimum) = (Codes.Half(blocks), Codes.Half(blocks, 2));
            var fifth = BinaryPrimitives.ReadUInt32LittleEndian(blocks[4..]);
            var packed = Codes.Load(blocks[8..]);
            Codes.Write(Codes.Low(packed) | Codes.Fifth(fifth), scale, minimum, weights);
            Codes.Write(Codes.High(packed) | Codes.Fifth(fifth >> 16), scale, minimum, weights[16..]);
        }
    }
}
