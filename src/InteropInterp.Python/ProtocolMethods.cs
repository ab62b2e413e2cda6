using Google.Protobuf;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.Methods;

namespace InteropInterp.Python;

/// <summary>The methods of the protocol, with the handlers that a server has too, on the calling thread.</summary>
internal static class ProtocolMethods
{
    public static CallTable Register(CallTable table, MethodTable methods)
    {
        foreach (var method in methods.Unary)
            if (method.IsForProcess)
                table.Add(method.FullName, (request, context) => method.Invoke(request, new HandlerContext(context.Door.Session) { Callbacks = new Callbacks(context) }));
        return table;
    }

    private sealed class Callbacks(CallContext context) : IClientCallbacks
    {
        public byte[] Invoke(long id, IMessage request) => context.CallBack(id, request.ToByteArray());
    }
}
