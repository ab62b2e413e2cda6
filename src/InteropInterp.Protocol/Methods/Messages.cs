using System.Buffers;
using Google.Protobuf;

namespace InteropInterp.Protocol.Methods;

/// <summary>Reads messages.</summary>
public static class Messages
{
    /// <exception cref="InterpException">MALFORMED_MESSAGE.</exception>
    public static T Parse<T>(ReadOnlySpan<byte> bytes)
        where T : class, IMessage<T>, new()
    {
        try
        {
            return Of<T>.Parser.ParseFrom(bytes);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw Malformed<T>(e);
        }
    }

    /// <exception cref="InterpException">MALFORMED_MESSAGE.</exception>
    public static T Parse<T>(in ReadOnlySequence<byte> bytes)
        where T : class, IMessage<T>, new()
    {
        try
        {
            return Of<T>.Parser.ParseFrom(bytes);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw Malformed<T>(e);
        }
    }

    private static InterpException Malformed<T>(InvalidProtocolBufferException error) => new(ErrorCode.InvalidArgument, "MALFORMED_MESSAGE",
        $"What came is no {typeof(T).Name}: {error.Message}", innerException: error);

    private static class Of<T>
        where T : class, IMessage<T>, new()
    {
        public static readonly MessageParser<T> Parser = new(() => new T());
    }
}
