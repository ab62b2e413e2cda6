using InteropInterp.Caches;
using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Heads;

/// <summary>
/// The copying score of Olsson et al. 2022, on sequences without repetition: of what attending to a token adds to the logits of the
/// sequence's tokens, less the mean over the vocabulary and where it is positive, the share that falls on that very token. Here
/// each source token counts once, whatever attends to it; a head that does not copy has 1 / tokens.
/// </summary>
public static class CopyingByHead
{
    /// <param name="segments">Distinct tokens, one segment per row.</param>
    /// <param name="start">The token in front, which is no source; null: none.</param>
    /// <returns>[layer][head], 0 to 1.</returns>
    /// <exception cref="InterpException">REPEATED_TOKENS; what the plan is refused for; CANCELLED.</exception>
    public static double[][] Measure(
        TransformerModel model, IReadOnlyList<int[]> segments, int? start, ExecutionOptions? options = null,
        CancellationToken cancellation = default)
    {
        var config = model.Config;
        InterpException.Require(segments.Count > 0, "NO_ROWS", "Copying is measured on at least one segment.");
        InterpException.Require(segments.All(s => s.Distinct().Count() == s.Length), "REPEATED_TOKENS",
            "Copying is measured on tokens that do not repeat.");
        var first = start is null ? 0 : 1;
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = [.. segments.Select(s => new Row([.. start is { } id ? [id] : Array.Empty<int>(), .. s]))],
            Captures = [new Capture("blocks.*.attn.hook_v")],
        }, options, cancellation);
        var scores = Enumerable.Range(0, config.LayerCount).Select(_ => new double[config.HeadCount]).ToArray();
        for (var row = 0; row < segments.Count; row++)
        {
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            var directions = Directions(model, segments[row]);
            for (var l = 0; l < config.LayerCount; l++)
            {
                var shares = Shares(model, run[$"blocks.{l}.attn.hook_v"][row].narrow(0, first, segments[row].Length), directions, l);
                for (var h = 0; h < config.HeadCount; h++) scores[l][h] += shares[h] / segments.Count;
            }
        }
        return scores;
    }

    // [d_model, tokens]: what raises each token's logit above the vocabulary's mean, as the final norm reads it.
    private static Tensor Directions(TransformerModel model, int[] tokens)
    {
        using var columns = LogitDirections.Of(model, tensor(Array.ConvertAll(tokens, t => (long)t), device: CPU));
        var mean = model.Weights.Unembed.mean([0]);
        if (model.Weights.FinalNorm is { } norm) mean = mean * norm.Weight;
        var directions = columns - mean;
        if (model.Config is { HasNorm: true, IsRms: false }) directions = directions - directions.mean([-1], keepdim: true);
        return directions.t();
    }

    // v [source, key head, d_head] -> per head the mean over sources.
    private static double[] Shares(TransformerModel model, Tensor v, Tensor directions, int layer)
    {
        var config = model.Config;
        var values = v.transpose(0, 1).repeat_interleave(config.HeadCount / v.size(1), 0);
        // [head, source, d_head] [head, d_head, tokens] -> [head, source, token].
        var raised = values.MatMul(model.StateDict[$"blocks.{layer}.attn.W_O"].MatMul(directions)).relu();
        var share = (raised.diagonal(0, -2, -1) / raised.sum(-1)).nan_to_num(0.0);
        return share.mean([-1]).to(ScalarType.Float64).cpu().data<double>().ToArray();
    }
}
