using System.Runtime.CompilerServices;

namespace InteropInterp.Tensors.Gguf.Quantization;

/// <summary>float16 scale, float16 minimum; sixteen bytes whose low halves are codes 0-15 and whose high halves are codes 16-31.</summary>
internal sealed class Q4_1 : IQuantization
{
    public string Name => "Q4_1";
    public uint Code => 3;
    public int BlockSize => 32;
    public int BlockBytes => 20;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dequantize(ReadOnlySpan<byte> blocks, Span<float> weights)
    {
        for (; blocks.Length >= BlockBytes; blocks = blocks[BlockBytes..], weights = weights[BlockSize..])
        {
            var (scale, minimum) = (Codes.Half(blocks), Codes.Half(blocks, 2));
            var packed = Codes.Load(blocks[4..]);
            Codes.Write(Codes.Low(packed), scale, minimum, weights);
            Codes.Write(Codes.High(packed), scale, minimum, weights[16..]);
        }
    }
}
