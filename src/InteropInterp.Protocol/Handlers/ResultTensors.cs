using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>
/// Gives the tensors of one response: small ones as values, as many as a message holds, others by reference. Where the response
/// does not come about, <see cref="Dispose"/> takes back what was given.
/// </summary>
internal sealed class ResultTensors : IDisposable
{
    /// <summary>Up to which size a result comes as a value, if the client does not say.</summary>
    public const long DefaultInlineLimit = 256 << 10;

    // A message stays below what clients take by default (4 MiB).
    private const long InlineTotal = 2 << 20;

    private readonly TensorStore store;
    private readonly HandlerContext context;
    private readonly long inlineLimit;
    private readonly List<long> given = [];
    private long inlined;
    private bool isKept;

    /// <param name="inlineLimit">What the client asked for; null: the default.</param>
    public ResultTensors(Workspace workspace, HandlerContext context, long? inlineLimit = null)
    {
        (store, this.context) = (workspace.Tensors, context);
        this.inlineLimit = workspace.IsInProcess ? -1 : inlineLimit ?? DefaultInlineLimit;
    }

    /// <summary>Takes the tensor over.</summary>
    /// <param name="weights">Of what it is a weight; a reference then goes with that.</param>
    /// <exception cref="InterpException">TENSOR_QUOTA.</exception>
    public V1.Tensor Give(Tensor tensor, WeightReferences? weights = null)
    {
        var bytes = tensor.numel() * tensor.element_size();
        if (bytes <= inlineLimit && bytes <= InlineTotal - inlined)
        {
            inlined += bytes;
            using (tensor) return new V1.Tensor { Value = TensorMapping.ToProto(tensor) };
        }
        var stored = store.Add(context.Session, tensor, isView: weights is not null);
        weights?.Add(stored);
        given.Add(stored.Number);
        return new V1.Tensor { Ref = stored.ToRef() };
    }

    public V1.Tensor? GiveIfAny(Tensor? tensor) => tensor is null ? null : Give(tensor);

    /// <summary>The response is complete: what was given is the client's.</summary>
    public void Keep() => isKept = true;

    public void Dispose()
    {
        if (!isKept) store.Delete(given);
    }
}
