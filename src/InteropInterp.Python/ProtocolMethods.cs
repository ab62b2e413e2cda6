using Google.Protobuf;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.Methods;

namespace InteropInterp.Python;

/// <summary>The methods of the protocol, with the handlers that a server has too, on the calling thread.</summary>
internal static class ProtocolMethods
{
    public static void Register(CallTable table, Door door)
    {
        var methods = new MethodTable(new Workspace { Tensors = door.Tensors, Work = new CallerWork(), IsInProcess = true });
        foreach (var method in methods.Unary)
            if (method.IsForProcess)
                table.Add(method.FullName, (request, context) => method.Invoke(request, new HandlerContext(door.Session) { Callbacks = new Callbacks(context) }));
    }

    private sealed class Callbacks(CallContext context) : IClientCallbacks
    {
        public byte[] Invoke(long id, IMessage request) => context.CallBack(id, request.ToByteArray());
    }
}
