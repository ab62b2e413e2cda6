using InteropInterp.Native.Operators;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>
/// Parts of a stream that are products of activations and rows of a weight, seen through the norm and along directions. Where
/// only directions are asked for, they meet the weight first: a/s · ((w - mean(w)) p), so that nothing of size [parts, pos,
/// d_model] is made. Lives in the current scope.
/// </summary>
internal sealed class Writers
{
    private readonly bool isRms;
    private readonly bool isSingle;
    private readonly Tensor? scale;
    private readonly Tensor? directions;

    /// <param name="projectOnto">[d_model] or [d_model, outputs]; null: the vectors themselves.</param>
    public Writers(ActivationCache cache, StackOptions options, Tensor? projectOnto)
    {
        var config = cache.Model.Config;
        var fits = projectOnto is null || (projectOnto.dim() is 1 or 2 && projectOnto.size(0) == config.ModelWidth);
        InterpException.Require(fits, "DIRECTION_SHAPE",
            $"The directions are {projectOnto.Shown()}; [{config.ModelWidth}] or [{config.ModelWidth}, outputs] is expected.");
        isRms = config.IsRms;
        isSingle = projectOnto?.dim() == 1;
        directions = projectOnto?.to(cache.Model.DataType, cache.Model.Device);
        scale = options.ApplyNorm && config.HasNorm ? cache.NormScale(options) : null;
    }

    /// <summary>What each neuron adds.</summary>
    /// <param name="acts">[batch, pos, n].</param>
    /// <param name="weight">[n, d_model].</param>
    /// <returns>[n, batch, pos, ...].</returns>
    public Tensor Neurons(Tensor acts, Tensor weight)
    {
        var projected = Projected(weight);
        acts = (scale is null ? acts : acts / scale).movedim([-1], [0]);
        var between = Enumerable.Repeat(1L, (int)acts.dim() - 1);
        return isSingle
            ? acts * projected.reshape([weight.size(0), .. between])
            : acts.unsqueeze(-1) * projected.reshape([weight.size(0), .. between, projected.size(-1)]);
    }

    /// <summary>What each head adds.</summary>
    /// <param name="z">[batch, pos, head, d_head].</param>
    /// <param name="weight">W_O [head, d_head, d_model].</param>
    /// <returns>[head, batch, pos, ...].</returns>
    public Tensor Heads(Tensor z, Tensor weight)
    {
        var projected = isSingle ? Projected(weight).unsqueeze(-1) : Projected(weight);
        // One product per head over all its rows and positions: [head, rows · pos, d_head] [head, d_head, outputs].
        var perHead = z.movedim([-2], [0]);
        var result = perHead.flatten(1, -2).MatMul(projected).view([.. perHead.shape[..^1], projected.size(-1)]);
        if (scale is not null) result = result / scale;
        return isSingle ? result.squeeze(-1) : result;
    }

    /// <summary>Parts [components, batch, pos, d_model] that exist already.</summary>
    public Tensor Whole(Tensor stack)
    {
        var normalized = scale is null ? stack : Centred(stack) / scale;
        return directions is null ? normalized : normalized.MatMul(directions);
    }

    private Tensor Projected(Tensor weight)
    {
        var centred = scale is null ? weight : Centred(weight);
        return directions is null ? centred : centred.MatMul(directions);
    }

    private Tensor Centred(Tensor x) => isRms ? x : x - x.mean([-1], keepdim: true);
}
