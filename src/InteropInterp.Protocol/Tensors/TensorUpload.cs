using System.Buffers;
using InteropInterp.Native.Interop;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace InteropInterp.Protocol.Tensors;

/// <summary>A tensor on its way in: its bytes are written where they will stay.</summary>
public sealed unsafe class TensorUpload : IDisposable
{
    private readonly TensorStore store;
    private readonly Session owner;
    private readonly TimeSpan? timeToLive;
    private readonly IDisposable room;
    private readonly Tensor tensor;
    private readonly long size;
    private long written;
    private bool isKept;

    /// <exception cref="InterpException">TENSOR_SHAPE, TENSOR_QUOTA, TTL_OUT_OF_RANGE: before any memory is taken.</exception>
    internal TensorUpload(TensorStore store, Session owner, TensorHeader header)
    {
        (this.store, this.owner) = (store, owner);
        var dtype = DataTypes.ToEngine(header.DataType, "header.data_type");
        size = TensorMapping.CheckedBytes(header.Shape, dtype, "header");
        if (header.Ttl is { } ttl)
        {
            // Compared in seconds: a duration from the wire may be more than a TimeSpan holds.
            if (ttl.Seconds < 1 || ttl.Seconds > store.Options.LongestTimeToLive.TotalSeconds)
                throw Fields.Invalid("header.ttl", "TTL_OUT_OF_RANGE", $"ttl is {ttl.Seconds} seconds; 1 to {store.Options.LongestTimeToLive.TotalSeconds:N0} are allowed.");
            timeToLive = ttl.ToTimeSpan();
        }
        room = store.Reserve(owner, size);
        using var scope = NewDisposeScope();
        tensor = empty([.. header.Shape], dtype, CPU).DetachFromDisposeScope();
    }

    /// <summary>The next bytes.</summary>
    /// <exception cref="InterpException">TENSOR_BYTES: more than the header says.</exception>
    public void Write(in ReadOnlySequence<byte> bytes)
    {
        if (bytes.Length > size - written) throw Wrong(written + bytes.Length, "or more ");
        bytes.CopyTo(new Span<byte>((byte*)Blob.Address(tensor) + written, (int)bytes.Length));
        written += bytes.Length;
        GC.KeepAlive(tensor);
    }

    /// <summary>All have come: the tensor is the client's.</summary>
    /// <exception cref="InterpException">TENSOR_BYTES: fewer than the header says; TENSOR_VALUES; TENSOR_QUOTA.</exception>
    public StoredTensor Finish()
    {
        if (written != size) throw Wrong(written, "");
        TensorMapping.CheckValues(tensor, "chunk");
        room.Dispose();
        isKept = true;
        return store.Add(owner, tensor, timeToLive: timeToLive);
    }

    public void Dispose()
    {
        room.Dispose();
        if (!isKept) tensor.Dispose();
    }

    private InterpException Wrong(long found, string more) => Fields.Invalid("chunk", "TENSOR_BYTES", $"{found:N0} bytes {more}came; the header says {size:N0}.");
}
