using static TorchSharp.torch;

namespace InteropInterp.Dictionaries;

/// <summary>The matrices of a dictionary, one row per feature in both, so that a feature's encoder and decoder lie in one piece.</summary>
/// <param name="Encoder">[d_sae, d_in]: SAELens's W_enc transposed.</param>
/// <param name="EncoderBias">[d_sae].</param>
/// <param name="Decoder">[d_sae, d_in].</param>
/// <param name="DecoderBias">[d_in].</param>
public sealed record DictionaryWeights(Tensor Encoder, Tensor EncoderBias, Tensor Decoder, Tensor DecoderBias) : IDisposable
{
    /// <summary>Refuses shapes that do not fit each other or the config.</summary>
    internal void Check(DictionaryConfig config)
    {
        Check("W_enc (one row per feature)", Encoder, config.Width, config.InputWidth);
        Check("b_enc", EncoderBias, config.Width);
        Check("W_dec", Decoder, config.Width, config.InputWidth);
        Check("b_dec", DecoderBias, config.InputWidth);
    }

    private static void Check(string name, Tensor tensor, params long[] shape) => InterpException.Require(
        tensor.shape.SequenceEqual(shape), "DICTIONARY_SHAPE",
        $"{name} is [{string.Join(", ", tensor.shape)}]; [{string.Join(", ", shape)}] is expected (d_sae and d_in of the config).");

    /// <summary>Takes the tensors out of the scope they were made in.</summary>
    internal void Detach()
    {
        Encoder.DetachFromDisposeScope();
        EncoderBias.DetachFromDisposeScope();
        Decoder.DetachFromDisposeScope();
        DecoderBias.DetachFromDisposeScope();
    }

    public void Dispose()
    {
        Encoder.Dispose();
        EncoderBias.Dispose();
        Decoder.Dispose();
        DecoderBias.Dispose();
    }
}
