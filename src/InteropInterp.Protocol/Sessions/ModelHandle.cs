using InteropInterp.Models;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Tokens;

namespace InteropInterp.Protocol.Sessions;

/// <summary>A client's share in a loaded model, with what it has taken of it.</summary>
public sealed class ModelHandle(ModelShare share, TensorStore tensors) : IDisposable
{
    private readonly ModelTokenizer? tokenizer = share.Tokenizer is null ? null : ModelTokenizer.For(share.Tokenizer, share.Model.Config);

    public ModelShare Share => share;
    public TransformerModel Model => share.Model;
    public WeightReferences Weights { get; } = new(tensors);

    /// <exception cref="InterpException">NO_TOKENIZER where the model's files have none.</exception>
    public ModelTokenizer Tokenizer => tokenizer ?? throw InterpException.Precondition("NO_TOKENIZER",
        $"The model '{share.Model.Config.ModelName}' came without a tokenizer; give token ids instead of text.");

    public bool HasTokenizer => tokenizer is not null;

    public void Dispose()
    {
        Weights.Dispose();
        share.Dispose();
    }
}
