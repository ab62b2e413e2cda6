using InteropInterp.Dictionaries;
using InteropInterp.Plans.Interventions;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Mapping;
using static InteropInterp.Protocol.V1.Tensor;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>What one request refers to; it stays as long as this.</summary>
internal sealed class RequestReferences(Workspace workspace, HandlerContext context) : IReferences, IDisposable
{
    private readonly TensorBag bag = new();
    private readonly List<IDisposable> uses = [];

    public Tensor Tensor(V1.Tensor? message, string field)
    {
        using var scope = NewDisposeScope();
        return bag.Add(message?.KindCase switch
        {
            KindOneofCase.Ref => workspace.Tensors.Get(context.Session, message.Ref.Name),
            KindOneofCase.Value => TensorMapping.ToEngine(message.Value, $"{field}.value"),
            _ => throw Fields.Missing(field, "a tensor's ref or value"),
        });
    }

    public SparseDictionary Dictionary(string name)
    {
        var use = context.Session.Dictionaries.Take(name);
        uses.Add(use);
        return use.Value.Dictionary;
    }

    public Func<Tensor, CallbackContext, Tensor?> Hook(long id, string field)
    {
        if (context.Callbacks is null)
            throw new InterpException(ErrorCode.Unimplemented, "CALLBACK_NOT_HERE",
                $"{field} is a function of the client, which only runs in the client's own process. Over the network use a declared op: {InterventionMapping.Declarative}.")
            {
                Field = field,
            };
        return new ClientHook(id, workspace.Tensors, context).Call;
    }

    public void Dispose()
    {
        bag.Dispose();
        foreach (var use in uses) use.Dispose();
    }
}
