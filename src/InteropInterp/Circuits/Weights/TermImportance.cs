using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>What paths through at most n heads are worth.</summary>
/// <param name="Losses">
/// Entry n: the mean next-token loss in nats where the logits come from paths through at most n attention layers; the last is the
/// model's own.
/// </param>
public sealed record TermImportance(IReadOnlyList<double> Losses)
{
    /// <summary>What the direct path takes off a uniform guess, then what each further order takes off, in nats.</summary>
    /// <param name="uniform">ln d_vocab_out.</param>
    public IReadOnlyList<double> Marginals(double uniform) => [.. Losses.Select((loss, n) => (n == 0 ? uniform : Losses[n - 1]) - loss)];

    /// <summary>
    /// The ablation of Elhage et al. 2021 ("virtual weights" of order n): with patterns frozen as in the whole run, every block adds
    /// what attention wrote in the run of one order less, so that one more head per path counts each time; at first nothing. Where
    /// the model has norms their scales are frozen too, which keeps the stream a sum of paths.
    /// </summary>
    /// <remarks>Biases that attention writes come with its first order.</remarks>
    /// <exception cref="InterpException">NOT_ATTENTION_ONLY; what the plan is refused for; CANCELLED.</exception>
    public static TermImportance Measure(
        TransformerModel model, IReadOnlyList<Row> rows, ExecutionOptions? options = null, CancellationToken cancellation = default)
    {
        var config = model.Config;
        if (config.HasMlp)
            throw InterpException.Precondition("NOT_ATTENTION_ONLY",
                "Paths through MLPs are no sum of terms: the order of a term is defined for attention-only models.");
        InterpException.Require(rows.Select(r => r.Length).Distinct().Count() == 1, "ROWS_RAGGED",
            "Term importance is measured over rows of one length.");
        string[] scales = config.HasNorm ? [.. Points(config, "ln1.hook_scale"), "ln_final.hook_scale"] : [];
        IReadOnlyList<string> fixedPoints = [.. Points(config, "attn.hook_pattern"), .. scales];
        using var whole = PlanRunner.Run(
            model, new Plan { Rows = rows, Captures = [.. fixedPoints.Select(p => new Capture(p))] }, options, cancellation);
        using var scope = NewDisposeScope();
        // Regions of patterns count queries before heads.
        var frozen = fixedPoints.Select(point => new Intervention(
            point, new SetOp(point.EndsWith("pattern", StringComparison.Ordinal) ? whole[point].transpose(1, 2) : whole[point]))).ToList();
        var losses = new List<double>();
        RunResult? previous = null;
        try
        {
            for (var order = 0; order <= config.LayerCount; order++)
            {
                var added = Points(config, "hook_attn_out")
                    .Select(point => new Intervention(point, previous is null ? new ZeroOp() : new SetOp(previous[$"{point}_before"])));
                var run = PlanRunner.Run(model, new Plan
                {
                    Rows = rows,
                    Interventions = [.. frozen, .. added],
                    Captures = [.. Points(config, "hook_attn_out").Select(p => new Capture(p) { Before = true })],
                    Outputs = new Outputs { Loss = true },
                }, options, cancellation);
                previous?.Dispose();
                previous = run;
                losses.Add(run.Loss!.Value);
            }
        }
        finally
        {
            previous?.Dispose();
        }
        return new TermImportance(losses);
    }

    private static IEnumerable<string> Points(TransformerConfig config, string point) =>
        Enumerable.Range(0, config.LayerCount).Select(l => $"blocks.{l}.{point}");
}
