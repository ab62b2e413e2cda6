using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace InteropInterp.Tensors.Gguf.Quantization;

/// <summary>float16 scale; 32 signed bytes.</summary>
internal sealed class Q8_0 : IQuantization
{
    public string Name => "Q8_0";
    public uint Code => 8;
    public int BlockSize => 32;
    public int BlockBytes => 34;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dequantize(ReadOnlySpan<byte> blocks, Span<float> weights)
    {
        for (; blocks.Length >= BlockBytes; blocks = blocks[BlockBytes..], weights = weights[BlockSize..])
        {
            var scale = Codes.Half(blocks);
            Codes.Write(Codes.Load(blocks[2..]).AsSByte(), scale, weights);
            Codes.Write(Codes.Load(blocks[18..]).AsSByte(), scale, weights[16..]);
        }
    }
}
