using InteropInterp.Native.Devices;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Protocol.V1;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace InteropInterp.Protocol.Handlers;

/// <summary>Takes, gives and lets go tensors.</summary>
public sealed class TensorHandlers(Workspace workspace)
{
    private const int LargestChunk = 256 << 10;

    public ValueTask<GetTensorResponse> GetTensor(GetTensorRequest request, HandlerContext context) =>
        new(new GetTensorResponse { Tensor = workspace.Tensors.Find(context.Session, request.Name).ToRef() });

    public ValueTask<DeleteTensorsResponse> DeleteTensors(DeleteTensorsRequest request, HandlerContext context)
    {
        workspace.Tensors.Delete(context.Session, request.Names);
        return new(new DeleteTensorsResponse());
    }

    public async ValueTask<MapTensorResponse> MapTensor(MapTensorRequest request, HandlerContext context)
    {
        if (!context.IsLocal) throw InterpException.Precondition("NOT_SAME_MACHINE", "Shared memory is for clients on the server's machine; read the tensor instead.");
        var path = await workspace.Work.Aside(() => workspace.Tensors.Map(context.Session, request.Name, SharedTensorFile.Create), context.Cancellation).ConfigureAwait(false);
        return new MapTensorResponse { Tensor = workspace.Tensors.Find(context.Session, request.Name).ToRef(), Path = path };
    }

    public ValueTask<UnmapTensorResponse> UnmapTensor(UnmapTensorRequest request, HandlerContext context)
    {
        workspace.Tensors.Unmap(context.Session, request.Name);
        return new(new UnmapTensorResponse());
    }

    /// <summary>CreateTensor: room for what the header says.</summary>
    public TensorUpload BeginUpload(TensorHeader header, HandlerContext context) => new(workspace.Tensors, context.Session, header);

    /// <summary>ReadTensor: the bytes, chunk by chunk; the memory of one is valid until the next is asked for.</summary>
    public async IAsyncEnumerable<TensorChunk> ReadTensor(ReadTensorRequest request, HandlerContext context)
    {
        var stored = workspace.Tensors.Find(context.Session, request.Name);
        using var bag = new TensorBag();
        var view = Open(request, context, bag);
        var dtype = request.DataType == DataType.Unspecified ? view.dtype : DataTypes.ToEngine(request.DataType, "data_type");
        var total = view.numel() * dtype.ElementSize();
        InterpException.Require(request.Offset >= 0 && request.Offset <= total, "OFFSET_OUT_OF_RANGE", $"offset is {request.Offset}; what is read has {total} bytes.");
        var header = stored.ToRef();
        header.DataType = DataTypes.ToProto(dtype);
        header.Shape.Clear();
        header.Shape.AddRange(view.shape);
        header.ByteSize = total;
        yield return new TensorChunk(header, request.Offset, default);
        var at = request.Offset;
        using var blocks = TensorBlocks.Of(view, dtype, request.Offset).GetEnumerator();
        // What lies elsewhere than in main memory is fetched by the device's thread.
        while (view.device_type == DeviceType.CPU ? blocks.MoveNext()
            : await workspace.Work.Run(view.device, Stepwise.Once(blocks.MoveNext), context.Cancellation, isContinued: true).ConfigureAwait(false))
        {
            using var block = blocks.Current.Block;
            var bytes = block.numel() * block.element_size();
            for (var start = blocks.Current.Skip; start < bytes;)
            {
                var length = (int)Math.Min(LargestChunk, bytes - start);
                yield return new TensorChunk(null, at, TensorBlocks.Bytes(block, start, length));
                (start, at) = (start + length, at + length);
            }
        }
    }

    private Tensor Open(ReadTensorRequest request, HandlerContext context, TensorBag bag)
    {
        using var scope = NewDisposeScope();
        return bag.Add(TensorBlocks.Cut(workspace.Tensors.Get(context.Session, request.Name), request.Ranges));
    }
}

/// <summary>A piece of a tensor on its way to a client.</summary>
/// <param name="Tensor">In the first one: what is sent, cut and converted as asked.</param>
/// <param name="Offset">Of its first byte.</param>
public sealed record TensorChunk(TensorRef? Tensor, long Offset, ReadOnlyMemory<byte> Bytes);
