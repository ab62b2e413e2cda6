using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>
/// What components of a model write towards a logit directly, through no other component (TransformerLens 4's
/// direct_logit_attribution). One run keeps what that takes, at the positions asked for; directions meet the weights first, so
/// that no component's vector is made.
/// </summary>
public static class DirectLogitAttribution
{
    /// <returns>Components that, but for <see cref="AttributionUnit.Layer"/>, sum to the logit or logit difference.</returns>
    /// <exception cref="InterpException">ATTRIBUTION_PLAN, ATTRIBUTION_ROWS, POSITIONS_RAGGED, TOKEN_OUT_OF_RANGE, NO_MLP; CANCELLED.</exception>
    public static DirectLogitAttributionResult Run(
        TransformerModel model, Plan plan, DirectLogitAttributionOptions options, ExecutionOptions? execution = null,
        CancellationToken cancellation = default)
    {
        Check(plan, options);
        using var holding = DeviceLeases.Of(model.Device).Acquire(cancellation);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var where = new Selector { Positions = options.Positions };
        var captures = Points(model.Config, options.Unit).Select(p => new Capture(p) { Where = where });
        using var run = PlanRunner.Run(model, plan with { Outputs = Outputs.None, Captures = [.. captures] }, execution, cancellation);
        // Every row is cut to the same positions already.
        using var cache = new ActivationCache(model, run.Captures);
        var rows = new List<Tensor>();
        IReadOnlyList<string> labels = [];
        for (var row = 0; row < plan.Rows.Count; row++)
        {
            using var one = cache.SelectRows(Positions.At(row));
            var (token, incorrect) = (At(options.Tokens, row), options.Incorrect is { } other ? At(other, row) : (int?)null);
            using var direction = LogitDirections.Of(model, token, incorrect);
            using var parts = Attributed(one, options.Unit, direction);
            if (options.Unit == AttributionUnit.Layer)
            {
                rows.Add(parts.Values.alias());
                labels = parts.Labels;
                continue;
            }
            var constant = LogitDirections.Constant(model, token, incorrect).expand(1, 1, parts.Values.size(2));
            rows.Add(cat([parts.Values, constant], 0));
            labels = [.. parts.Labels, "b_U"];
        }
        return new DirectLogitAttributionResult(cat([.. rows], 1).DetachFromDisposeScope(), labels);
    }

    private static ResidualComponents Attributed(ActivationCache cache, AttributionUnit unit, Tensor direction)
    {
        var scaled = new StackOptions { ApplyNorm = true };
        if (unit is AttributionUnit.Head or AttributionUnit.Neuron)
            return cache.FullResidualDecomposition(scaled, unit == AttributionUnit.Neuron, direction);
        using var scope = NewDisposeScope();
        using var whole = unit == AttributionUnit.Layer ? cache.AccumulatedResidual() : cache.DecomposeResidual();
        using var normed = cache.ApplyNorm(whole.Values);
        return whole with { Values = normed.MatMul(direction).DetachFromDisposeScope() };
    }

    // What a unit is computed from; the norm's scale comes with the final stream.
    private static IEnumerable<string> Points(TransformerConfig config, AttributionUnit unit)
    {
        var last = config.LayerCount - 1;
        if (last >= 0) yield return $"blocks.{last}.hook_resid_post";
        if (unit == AttributionUnit.Layer)
        {
            for (var l = 0; l <= last; l++) yield return $"blocks.{l}.hook_resid_pre";
            yield break;
        }
        yield return "hook_embed";
        if (config is { HasPositionTable: true, IsShortformer: false }) yield return "hook_pos_embed";
        for (var l = 0; l <= last; l++)
        {
            yield return unit == AttributionUnit.Component ? $"blocks.{l}.hook_attn_out" : $"blocks.{l}.attn.hook_z";
            if (config.HasMlp) yield return unit == AttributionUnit.Neuron ? $"blocks.{l}.mlp.hook_post" : $"blocks.{l}.hook_mlp_out";
        }
    }

    private static void Check(Plan plan, DirectLogitAttributionOptions options)
    {
        InterpException.Require(plan is { Generation: null, StopAtLayer: null, Objective: null } && plan.Rows.Count > 0, "ATTRIBUTION_PLAN",
            "Logits are attributed in one pass from tokens to the end: the plan must neither generate, nor stop early, nor differentiate.");
        foreach (var tokens in new[] { options.Tokens, options.Incorrect ?? options.Tokens })
            InterpException.Require(tokens.Count == 1 || tokens.Count == plan.Rows.Count, "ATTRIBUTION_ROWS",
                $"{tokens.Count} tokens are given; the plan has {plan.Rows.Count} rows (one for each, or one for all, is expected).");
        var counts = plan.Rows.Select(row => options.Positions.Resolve(row.Length, "position").Length).Distinct().ToList();
        InterpException.Require(counts.Count == 1, "POSITIONS_RAGGED",
            $"The positions {options.Positions} are not equally many in every row; name the same number of each.");
    }

    private static int At(IReadOnlyList<int> tokens, int row) => tokens[tokens.Count == 1 ? 0 : row];
}
