using System.Buffers;

namespace InteropInterp.Protocol.Tensors;

/// <summary>Memory of a tensor for those who take .NET's; whoever uses it keeps the tensor alive.</summary>
internal sealed unsafe class NativeMemory(IntPtr address, int length) : MemoryManager<byte>
{
    public override Span<byte> GetSpan() => new((void*)address, length);

    public override MemoryHandle Pin(int elementIndex = 0) => new((byte*)address + elementIndex);

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
