using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>
/// How the tokens of a pass lie in its tensors [batch, length, ...], and who may attend to whom. Everything but attention looks
/// at tokens one by one and is the same for every layout.
/// </summary>
internal interface ITokenLayout
{
    long Batch { get; }
    long Length { get; }

    /// <summary>Each token's place in its row: [batch or 1, length] int64.</summary>
    Tensor Positions { get; }

    /// <summary>The tokens that attend [n] int64, where the batch is 1 and others only are attended to; null: all.</summary>
    Tensor? Queries => null;

    /// <summary>Tokens in the longest row, those of earlier passes included.</summary>
    long LongestPosition { get; }

    /// <summary>[batch, length] booleans, false at padding; null where there is none.</summary>
    Tensor? Present { get; }

    /// <summary>Attention of a layer.</summary>
    /// <param name="q">[batch, length or queries, heads, d_head], rotated.</param>
    /// <param name="k">[batch, length, key heads, d_head], rotated.</param>
    /// <param name="v">[batch, length, key heads, d_head].</param>
    /// <returns>[batch, results, heads, d_head]: as many as attend.</returns>
    Tensor Attend(Tensor q, Tensor k, Tensor v, int layer, IActivationHooks hooks);

    /// <summary>Told once a pass over all its layers is done.</summary>
    void Finish();
}
