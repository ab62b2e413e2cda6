using InteropInterp.Plans.Interventions;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>A hook that the client wrote, called on its own thread with the activation's own memory.</summary>
internal sealed class ClientHook(long id, TensorStore tensors, HandlerContext context) : IClientFunction
{
    public long Id => id;

    public Tensor? Call(Tensor activation, CallbackContext where)
    {
        var stored = tensors.Add(context.Session, activation.alias());
        try
        {
            var reply = V1.HookReply.Parser.ParseFrom(context.Callbacks!.Invoke(id, new V1.HookCall
            {
                Point = where.Name, Layer = where.Layer, Step = where.Step, Activation = stored.ToRef(),
            }));
            if (reply.Replacement is not { } replacement) return null;
            // It is ours from here on.
            var tensor = tensors.Get(context.Session, replacement.Name);
            tensors.Delete(context.Session, [replacement.Name]);
            return tensor;
        }
        finally
        {
            tensors.Delete([stored.Number]);
        }
    }
}
