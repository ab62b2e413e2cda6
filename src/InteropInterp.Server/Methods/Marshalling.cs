using Google.Protobuf;
using Grpc.Core;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Methods;

namespace InteropInterp.Server.Methods;

/// <summary>Messages from and to bytes; one that is none of its type is the client's error, and says so.</summary>
internal static class Marshalling
{
    public static Marshaller<T> Of<T>()
        where T : class, IMessage<T>, new() => Marshallers.Create(Write<T>, Read<T>);

    private static void Write<T>(T message, SerializationContext context)
        where T : class, IMessage<T>
    {
        context.SetPayloadLength(message.CalculateSize());
        message.WriteTo(context.GetBufferWriter());
        context.Complete();
    }

    private static T Read<T>(DeserializationContext context)
        where T : class, IMessage<T>, new()
    {
        try
        {
            return Messages.Parse<T>(context.PayloadAsReadOnlySequence());
        }
        catch (InterpException e)
        {
            throw ErrorMapping.ToRpc(e);
        }
    }
}
