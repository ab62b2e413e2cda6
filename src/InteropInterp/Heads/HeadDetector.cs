using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Heads;

/// <summary>
/// Which heads attend as a pattern says (TransformerLens's head_detector.detect_head). Patterns are compared where they are computed.
/// </summary>
public static class HeadDetector
{
    /// <summary>Scores against a named kind of head; of several rows the mean.</summary>
    /// <param name="kind">One of <see cref="DetectionPattern.Names"/>.</param>
    /// <returns>[layer][head].</returns>
    /// <exception cref="InterpException">UNKNOWN_HEAD_KIND, SEQUENCE_TOO_SHORT, HEAD_OUT_OF_RANGE; CANCELLED.</exception>
    public static double[][] Detect(
        TransformerModel model, IReadOnlyList<Row> rows, string kind, HeadDetectorOptions? options = null, ExecutionOptions? execution = null,
        CancellationToken cancellation = default)
    {
        InterpException.Require(rows.Count > 0, "NO_ROWS", "Heads are detected on at least one row.");
        var sum = NewScores(model.Config, 0);
        foreach (var row in rows)
        {
            using var scope = NewDisposeScope();
            var scores = Detect(model, row, DetectionPattern.Of(kind, row), options, execution, cancellation);
            for (var l = 0; l < sum.Length; l++)
                for (var h = 0; h < sum[l].Length; h++) sum[l][h] += scores[l][h] / rows.Count;
        }
        return sum;
    }

    /// <summary>Scores against a pattern of one's own.</summary>
    /// <param name="pattern">[pos, pos] of a row of that many tokens, zero above the diagonal; borrowed.</param>
    /// <returns>[layer][head].</returns>
    /// <exception cref="InterpException">PATTERN_SHAPE, and as above.</exception>
    public static double[][] Detect(
        TransformerModel model, Row row, Tensor pattern, HeadDetectorOptions? options = null, ExecutionOptions? execution = null,
        CancellationToken cancellation = default)
    {
        options ??= new HeadDetectorOptions();
        var length = row.Length;
        InterpException.Require(length > 1, "SEQUENCE_TOO_SHORT", $"The row has {length} token; heads attend among at least two.");
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var fits = pattern.shape.SequenceEqual([length, length]) && pattern.triu(1).count_nonzero().item<long>() == 0;
        InterpException.Require(fits, "PATTERN_SHAPE",
            $"The pattern is {pattern.Shown()}; a lower triangular [{length}, {length}], as the row has tokens, is expected.");
        var heads = Heads(model.Config, options);
        var transform = new PatternOverlap(pattern, Counted(length, options), options.Error);
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = [row],
            Captures = [.. heads.Select(h => h.Layer).Distinct().Select(l => new Capture(Point(l)) { Transform = transform })],
        }, execution, cancellation);
        var scores = NewScores(model.Config, -1);
        foreach (var layer in heads.GroupBy(h => h.Layer))
        {
            var measured = run[$"{Point(layer.Key)}.{transform.Suffix}"][0].to(ScalarType.Float64).cpu().data<double>().ToArray();
            foreach (var (_, head) in layer)
                scores[layer.Key][head] = options.Error == PatternError.Multiplied ? measured[head] : 1 - Math.Round(measured[head] * length, 3);
        }
        return scores;
    }

    private static Tensor Counted(long length, HeadDetectorOptions options)
    {
        var counted = ones([length, length], device: CPU);
        if (options.ExcludeBos) counted.narrow(1, 0, 1).zero_();
        return options.ExcludeCurrentToken ? counted.tril(-1) : counted;
    }

    private static IReadOnlyList<(int Layer, int Head)> Heads(TransformerConfig config, HeadDetectorOptions options)
    {
        if (options.Heads is null)
            return [.. Enumerable.Range(0, config.LayerCount).SelectMany(l => Enumerable.Range(0, config.HeadCount).Select(h => (l, h)))];
        foreach (var (layer, head) in options.Heads)
        {
            config.CheckLayer(layer);
            config.CheckHead(head);
        }
        return options.Heads;
    }

    private static double[][] NewScores(TransformerConfig config, double value) =>
        [.. Enumerable.Range(0, config.LayerCount).Select(_ => Enumerable.Repeat(value, config.HeadCount).ToArray())];

    private static string Point(int layer) => $"blocks.{layer}.attn.hook_pattern";
}
