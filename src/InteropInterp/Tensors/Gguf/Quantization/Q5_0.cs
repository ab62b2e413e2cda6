using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace InteropInterp.Tensors.Gguf.Quantization;

/// <summary>float16 scale; the fifth bits of codes 0-31; their lower four bits as in Q4_0; all less 16.</summary>
internal sealed class Q5_0 : IQuantization
{
    public string Name => "Q5_0";
    public uint Code => 6;
    public int BlockSize => 32;
    public int BlockBytes => 22;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dequantize(ReadOnlySpan<byte> blocks, Span<float> weights)
    {
        for (; blocks.Length >= BlockBytes; blocks = blocks[BlockBytes..], weights = weights[BlockSize..])
        {
            var scale = Codes.Half(blocks);
            var fifth = BinaryPrimitives.ReadUInt32LittleEndian(blocks[2..]);
            var packed = Codes.Load(blocks[6..]);
            var sixteen = Vector128.Create((byte)16);
            Codes.Write(((Codes.Low(packed) | Codes.Fifth(fifth)) - sixteen).AsSByte(), scale, weights);
            Codes.Write(((Codes.High(packed) | Codes.Fifth(fifth >> 16)) - sixteen).AsSByte(), scale, weights[16..]);
        }
    }
}
