using System.Buffers;
using Google.Protobuf;
using Grpc.Core;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.Methods;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Server.Methods;

/// <summary>
/// Chunks of tensors, which are ordinary messages on the wire: written straight from the tensor's memory, read into memory that
/// is used again, never a managed array for each.
/// </summary>
internal static class TensorMarshalling
{
    // Field number and wire type "length-delimited" of CreateTensorRequest.chunk.
    private const byte ChunkTag = CreateTensorRequest.ChunkFieldNumber << 3 | 2;

    /// <summary>ReadTensorResponse, on its way out.</summary>
    public static Marshaller<TensorChunk> Outgoing { get; } = Marshallers.Create<TensorChunk>(Write, _ => throw new NotSupportedException());

    /// <summary>CreateTensorRequest, on its way in.</summary>
    public static Marshaller<UploadPart> Incoming { get; } = Marshallers.Create<UploadPart>((_, _) => throw new NotSupportedException(), Read);

    private static void Write(TensorChunk chunk, SerializationContext context)
    {
        // Everything but the bytes themselves; field 3 comes last, so what follows it is its content.
        var front = new ReadTensorResponse { Tensor = chunk.Tensor, Offset = chunk.Offset };
        var frontSize = front.CalculateSize();
        var hasBytes = chunk.Bytes.Length > 0;
        var tagSize = hasBytes ? 1 + CodedOutputStream.ComputeLengthSize(chunk.Bytes.Length) : 0;
        context.SetPayloadLength(frontSize + tagSize + chunk.Bytes.Length);
        var writer = context.GetBufferWriter();
        front.WriteTo(writer);
        if (hasBytes)
        {
            Span<byte> tag = stackalloc byte[6];
            tag[0] = ReadTensorResponse.ChunkFieldNumber << 3 | 2;
            WriteLength(tag[1..], chunk.Bytes.Length);
            writer.Write(tag[..tagSize]);
            writer.Write(chunk.Bytes.Span);
        }
        context.Complete();
    }

    private static UploadPart Read(DeserializationContext context)
    {
        var payload = context.PayloadAsReadOnlySequence();
        if (Chunk(payload) is { } bytes)
        {
            var memory = MemoryPool<byte>.Shared.Rent((int)Math.Max(1, bytes.Length));
            bytes.CopyTo(memory.Memory.Span);
            return new UploadPart(null, memory, (int)bytes.Length);
        }
        try
        {
            var message = Messages.Parse<CreateTensorRequest>(payload);
            UnknownFields.Refuse(message);
            return message.KindCase switch
            {
                CreateTensorRequest.KindOneofCase.Header => new UploadPart(message.Header, null, 0),
                CreateTensorRequest.KindOneofCase.Chunk => throw InterpException.Invalid("MALFORMED_MESSAGE", "A CreateTensorRequest has a chunk or a header, once."),
                _ => throw Fields.Missing("kind", "a header or a chunk"),
            };
        }
        catch (InterpException e)
        {
            throw ErrorMapping.ToRpc(e);
        }
    }

    // The bytes of a message that is one chunk and nothing else; null for any other.
    private static ReadOnlySequence<byte>? Chunk(ReadOnlySequence<byte> payload)
    {
        var reader = new SequenceReader<byte>(payload);
        if (!reader.TryRead(out var tag) || tag != ChunkTag) return null;
        long length = 0;
        for (var shift = 0; shift < 35; shift += 7)
        {
            if (!reader.TryRead(out var part)) return null;
            length |= (long)(part & 127) << shift;
            if (part < 128) return length == reader.Remaining ? reader.UnreadSequence : null;
        }
        return null;
    }

    private static void WriteLength(Span<byte> target, int length)
    {
        var at = 0;
        for (; length > 127; length >>= 7) target[at++] = (byte)(length | 128);
        target[at] = (byte)length;
    }
}

/// <summary>A message of an upload: a header, or memory to be given back.</summary>
internal sealed record UploadPart(TensorHeader? Header, IMemoryOwner<byte>? Memory, int Length) : IDisposable
{
    public ReadOnlySequence<byte> Bytes => new(Memory!.Memory[..Length]);

    public void Dispose() => Memory?.Dispose();
}
