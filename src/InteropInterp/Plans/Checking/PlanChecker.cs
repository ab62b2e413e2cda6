using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans.Interventions;

namespace InteropInterp.Plans.Checking;

/// <summary>
/// Resolves a plan against a model, and refuses whatever cannot run or would silently do nothing, before anything runs.
/// </summary>
internal static class PlanChecker
{
    /// <summary>Checks a plan and its sources.</summary>
    public static CheckedPlan Check(TransformerModel model, Plan plan) => Check(model, plan, []);

    private static CheckedPlan Check(TransformerModel model, Plan plan, IReadOnlyList<CheckedCapture> reads)
    {
        var config = model.Config;
        RowChecker.Check(config, plan);
        CheckFlags(config, plan.Flags);
        var catalogue = new HookCatalogue(config, plan.Flags);
        var (first, end, stops) = Layers(config, plan);
        var scope = new PlanScope(catalogue, plan, config, first, end, stops);

        var interventions = plan.Interventions.Select((intervention, i) => CheckIntervention(scope, Bound(intervention, model), i)).ToList();
        var captures = plan.Captures.SelectMany(capture => CaptureChecker.Check(scope, capture)).Concat(reads).ToList();
        if (captures.GroupBy(c => c.Name).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw InterpException.Invalid("CAPTURE_NAME_TWICE", $"Two captures are called '{twice.Key}'; give one of them a name.");
        var logits = ObjectiveChecker.Check(scope, captures, interventions, out var cotangents);

        return new CheckedPlan
        {
            Plan = plan,
            Catalogue = catalogue,
            FirstLayer = first,
            EndLayer = end,
            StopsEarly = stops,
            Interventions = interventions,
            Captures = captures,
            Cotangents = cotangents,
            Logits = logits,
            Sources = CheckSources(model, plan, interventions, scope),
        };
    }

    private static (int First, int End, bool Stops) Layers(TransformerConfig config, Plan plan)
    {
        int Resolve(int layer, string what, int most)
        {
            var resolved = layer < 0 ? layer + config.LayerCount : layer;
            return resolved >= 0 && resolved <= most
                ? resolved
                : throw InterpException.OutOfRange("LAYER_OUT_OF_RANGE",
                    $"{what} is {layer}; the model has {config.LayerCount} layers (0 to {most}, or -{config.LayerCount} to -1).");
        }
        var first = plan.StartAtLayer is { } start ? Resolve(start, "start_at_layer", config.LayerCount) : 0;
        InterpException.Require(plan.StartAtLayer is null || plan.Residual is not null, "START_NEEDS_RESIDUAL",
            "start_at_layer needs a residual stream [rows, pos, d_model] as input.");
        InterpException.Require(plan.Residual is null || plan.StartAtLayer is not null, "RESIDUAL_NEEDS_START",
            "A residual stream as input needs start_at_layer.");
        if (plan.StopAtLayer is not { } stop) return (first, config.LayerCount, false);
        var end = Resolve(stop, "stop_at_layer", config.LayerCount);
        InterpException.Require(end >= first, "LAYER_OUT_OF_RANGE", $"stop_at_layer ({stop}) lies before start_at_layer ({first}).");
        return (first, end, true);
    }

    private static void CheckFlags(TransformerConfig config, ModelFlags flags)
    {
        if (flags.UseAttnIn && config.KeyHeads != config.HeadCount)
            throw InterpException.Precondition("FLAG_NOT_POSSIBLE", "use_attn_in: keys are grouped in this model; use_split_qkv_input gives each its own input.");
        if (flags.UseAttnIn && flags.UseSplitQkvInput)
            throw InterpException.Precondition("FLAG_NOT_POSSIBLE", "use_attn_in and use_split_qkv_input are on together: the first would have no effect.");
        if (flags.UseHookMlpIn && config.AttentionOnly)
            throw InterpException.Precondition("FLAG_NOT_POSSIBLE", "use_hook_mlp_in: the model has attention only.");
    }

    private static Intervention Bound(Intervention intervention, TransformerModel model) =>
        intervention.Op.Bound(model) is var op && ReferenceEquals(op, intervention.Op) ? intervention : intervention with { Op = op };

    private static CheckedIntervention CheckIntervention(PlanScope scope, Intervention intervention, int index)
    {
        var what = $"Intervention {index} ({intervention.Op.Name} at '{intervention.Point}')";
        var points = scope.Points(intervention.Point, what, intervention.MayBeSilent);
        if (intervention.Op.Reads is { } read && !scope.Plan.Sources.ContainsKey(read.Source))
            throw InterpException.Unknown("UNKNOWN_SOURCE", "source", read.Source, scope.Plan.Sources.Keys);
        InterpException.Require(!intervention.Gradient || intervention.Op.Reads is null, "GRADIENT_OP",
            $"{what}: a gradient cannot be taken from another run.");
        if (intervention.Op is CallbackOp)
            InterpException.Require(intervention.Where == Selector.All with { FromStep = intervention.Where.FromStep, ToStep = intervention.Where.ToStep },
                "CALLBACK_SELECTOR", $"{what}: a callback is given the whole activation; select within it.");
        foreach (var point in points)
        {
            scope.CheckSelector(point, intervention.Where, what);
            if (intervention.Op is CallbackOp) continue;
            InterpException.Require(point.Site != HookSite.Tokens, "TOKENS_NOT_EDITED", $"{what}: tokens are edited in the rows, or by a callback.");
            intervention.Op.Check(scope.Target(point, intervention.Where));
        }
        var names = intervention.Op.Reads is null ? null : points.Select(p => $"#{index}:{p.Name}").ToList();
        return new CheckedIntervention(index, intervention, points, names);
    }

    // Each source also keeps what interventions read of it.
    private static Dictionary<string, CheckedPlan> CheckSources(
        TransformerModel model, Plan plan, List<CheckedIntervention> interventions, PlanScope scope)
    {
        var result = new Dictionary<string, CheckedPlan>();
        foreach (var (name, source) in plan.Sources)
        {
            InterpException.Require(source.Generation is null, "SOURCE_GENERATES", $"Source '{name}' generates; a source is one pass.");
            var reads = new List<CheckedCapture>();
            foreach (var checkedIntervention in interventions)
            {
                if (checkedIntervention.Intervention.Op.Reads is not { } read || read.Source != name) continue;
                for (var i = 0; i < checkedIntervention.Points.Count; i++)
                {
                    var point = read.Point is null ? checkedIntervention.Points[i] : scope.Catalogue.Resolve(read.Point);
                    var where = new Selector
                    {
                        Positions = read.Positions ?? checkedIntervention.Intervention.Where.Positions,
                        Heads = read.Heads ?? checkedIntervention.Intervention.Where.Heads,
                        Last = checkedIntervention.Intervention.Where.Last,
                    };
                    reads.Add(new CheckedCapture(checkedIntervention.SourceNames![i], point, new Capture(point.Name) { Where = where }, AsRegion: true));
                }
            }
            if (reads.Count > 0) result[name] = Check(model, source, reads);
        }
        return result;
    }
}
