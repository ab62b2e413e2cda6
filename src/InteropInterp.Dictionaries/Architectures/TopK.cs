using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Architectures;

/// <summary>
/// The k largest pre-activations of a token, those above 0 (Gao et al. 2024, "Scaling and evaluating sparse autoencoders"). Which
/// of several equal ones are kept is not defined.
/// </summary>
public sealed class TopK(int k) : Architecture
{
    /// <summary>Features kept per token.</summary>
    public int K => k;

    public override string Name => "topk";

    public override bool IsElementwise => false;

    public override Tensor Codes(Tensor preActivations, Tensor? features = null)
    {
        if (features is not null)
            throw new InvalidOperationException("A feature of a TopK dictionary cannot be computed without the others.");
        using var scope = NewDisposeScope();
        var (values, indices) = preActivations.topk(k, -1, sorted: false);
        return zeros_like(preActivations).scatter(-1, indices, values.relu()).MoveToOuterDisposeScope();
    }

    public override Architecture Scaled(Tensor factors) => throw InterpException.Precondition("FOLD_CHANGES_CODES",
        "The decoder norms of a topk dictionary cannot be folded where rescale_acts_by_decoder_norm is false: "
        + "other features would be among the k largest.");

    public override Architecture Scaled(double factor) => new TopK(k);

    public override void Check(int width) => InterpException.Require(
        k > 0 && k <= width, "INVALID_K", $"k is {k}; it must be above 0 and at most d_sae = {width}.");
}
