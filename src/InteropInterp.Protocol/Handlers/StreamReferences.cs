using InteropInterp.Dictionaries;
using InteropInterp.Plans.Interventions;
using InteropInterp.Protocol.Mapping;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>
/// What a stream refers to: it outlives the call that began it, so of the client's tensors, whose memory is the client's, it keeps copies;
/// functions of the client do not run in it.
/// </summary>
internal sealed class StreamReferences(Workspace workspace, HandlerContext context) : IReferences, IDisposable
{
    private readonly RequestReferences request = new(workspace, context with { Callbacks = null, Observer = null });
    private readonly List<Tensor> copies = [];

    public Tensor Tensor(V1.Tensor message, string field)
    {
        using var scope = NewDisposeScope();
        var copy = request.Tensor(message, field).clone().DetachFromDisposeScope();
        copies.Add(copy);
        return copy;
    }

    public SparseDictionary Dictionary(string name) => request.Dictionary(name);

    public Func<Tensor, CallbackContext, Tensor?> Hook(long id, string field) => request.Hook(id, field);

    public void Dispose()
    {
        request.Dispose();
        foreach (var copy in copies) copy.Dispose();
    }
}
