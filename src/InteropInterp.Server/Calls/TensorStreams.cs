using Grpc.Core;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Methods;

namespace InteropInterp.Server.Calls;

/// <summary>Tensors in and out, chunk by chunk; a slow client holds back its own call alone.</summary>
internal sealed class TensorStreams(TensorHandlers tensors, CallGate gate)
{
    public Task ReadTensor(ReadTensorRequest request, IServerStreamWriter<TensorChunk> writer, ServerCallContext call) => gate.Run(call, async context =>
    {
        UnknownFields.Refuse(request);
        await foreach (var chunk in tensors.ReadTensor(request, context)) await writer.WriteAsync(chunk, context.Cancellation);
        return true;
    });

    public Task<CreateTensorResponse> CreateTensor(IAsyncStreamReader<UploadPart> reader, ServerCallContext call) => gate.Run(call, async context =>
    {
        using var first = await reader.Next(context.Cancellation);
        if (first?.Header is not { } header) throw Fields.Missing("header", "the tensor's type and shape, in the first message,");
        using var upload = tensors.BeginUpload(header, context);
        while (await reader.Next(context.Cancellation) is { } next)
        {
            using var part = next;
            if (part.Header is not null) throw Fields.Invalid("header", "SECOND_HEADER", "A second header came; after the first there are chunks alone.");
            upload.Write(part.Bytes);
        }
        return new CreateTensorResponse { Tensor = upload.Finish().ToRef() };
    });
}
