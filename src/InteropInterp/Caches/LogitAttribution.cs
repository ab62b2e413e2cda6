using InteropInterp.Plans;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>What components add to a logit (TransformerLens's logit_attrs).</summary>
public static class LogitAttribution
{
    /// <summary>
    /// What each component of the final stream adds to the logit of tokens, or to its difference to that of others. Over a
    /// whole decomposition they sum to the logit less b_U (less the final norm's bias · W_U where it is not folded).
    /// </summary>
    /// <param name="stack">[components, batch, pos, d_model], not yet scaled.</param>
    /// <param name="tokens">Ids, int64: of all [], of each row [batch], of each position [batch, pos].</param>
    /// <param name="incorrect">Of the same shape; null: the logit itself.</param>
    /// <param name="positions">The positions that were taken for the stack.</param>
    /// <returns>[components, batch, pos]; the caller owns it.</returns>
    /// <exception cref="InterpException">STACK_SHAPE, TOKENS_SHAPE, TOKEN_OUT_OF_RANGE, NOT_CACHED.</exception>
    public static Tensor LogitAttributions(
        this ActivationCache cache, Tensor stack, Tensor tokens, Tensor? incorrect = null, Positions? positions = null)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        using var directions = LogitDirections.Of(cache.Model, tokens, incorrect);
        using var scaled = cache.ApplyNorm(stack, new StackOptions { Positions = positions ?? Positions.All });
        // [batch, d_model] counts rows, not positions.
        var aligned = cache.HasBatch && tokens.dim() == 1 ? directions.unsqueeze(1) : directions;
        var (axes, place) = (aligned.shape[..^1], scaled.shape[1..^1]);
        var fits = axes.Length <= place.Length && axes.Zip(place[^axes.Length..]).All(x => x.First == 1 || x.First == x.Second);
        InterpException.Require(fits, "TOKENS_SHAPE",
            $"The tokens are {tokens.Shown()} and the stack is {stack.Shown()}: one token, one per row, or one per row and position is expected.");
        return (scaled * aligned).sum(-1).DetachFromDisposeScope();
    }
}
