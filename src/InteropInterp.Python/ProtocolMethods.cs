using Google.Protobuf;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.Methods;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Python;

/// <summary>The methods of the protocol, with the handlers that a server has too, on the calling thread.</summary>
internal static class ProtocolMethods
{
    public static void Register(CallTable table, Door door)
    {
        var methods = new MethodTable(new Workspace { Tensors = door.Tensors, Work = new CallerWork(), IsInProcess = true });
        foreach (var method in methods.Unary)
            if (method.IsForProcess)
                table.Add(method.FullName, (request, context) => method.Invoke(request, Context(door, context)));
        table.Add($"{ProgressService.Descriptor.FullName}/FollowCall", (request, context) => Follow(methods, request, Context(door, context)));
    }

    private static HandlerContext Context(Door door, CallContext context) => new(door.Session) { Callbacks = new Callbacks(context) };

    private static byte[] Follow(MethodTable methods, ReadOnlySpan<byte> bytes, HandlerContext context)
    {
        var request = Messages.Parse<FollowCallRequest>(bytes);
        UnknownFields.Refuse(request);
        var method = methods.Find(request.Method);
        var observed = request.ProgressCallback == 0 ? context : context with { Observer = new Teller(request.ProgressCallback, context.Callbacks!) };
        return new FollowCallResponse { Response = UnsafeByteOperations.UnsafeWrap(method.Invoke(request.Request.Span, observed)) }.ToByteArray();
    }

    private sealed class Teller(long id, IClientCallbacks callbacks) : IRunObserver
    {
        public void Progress(long done, long total) =>
            callbacks.Invoke(id, new FollowCallResponse { Progress = new Progress { Done = done, Total = total } });

        public void NewTokens(int firstRow, IReadOnlyList<int> tokens)
        {
        }

        public void Portion(SweepPortion portion)
        {
        }
    }

    private sealed class Callbacks(CallContext context) : IClientCallbacks
    {
        public byte[] Invoke(long id, IMessage request) => context.CallBack(id, request.ToByteArray());
    }
}
