using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Circuits.Paths;

/// <summary>
/// Path patching as the paper writes it, in two whole runs: one in which every component is frozen but the senders, which gives
/// the receivers' inputs, and one in which those are held and the rest is free.
/// </summary>
internal static class BruteForcePath
{
    /// <summary>The metric per row.</summary>
    public static double[] Run(TransformerModel model, PathPatch patch, IReadOnlyList<Sender> senders, IReadOnlyList<Receiver> receivers)
    {
        using var scope = NewDisposeScope();
        using var frozen = PlanRunner.Run(model, new Plan
        {
            Rows = patch.Base.Rows,
            Sources = new Dictionary<string, Plan> { ["base"] = patch.Base, ["source"] = patch.Source },
            Interventions = [.. Frozen(model.Config, patch), .. senders.Select(s => Patched(s, patch))],
            Captures = [.. receivers.Select(r => Stream(model.Config, r)).Distinct().Select(name => new Capture(name))],
        });
        using var scales = PlanRunner.Run(model, patch.Base with { Captures = model.Config.HasNorm ? [new Capture("*.ln1.hook_scale")]
            : [] });
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = patch.Base.Rows,
            Flags = new ModelFlags { UseSplitQkvInput = true, UseHookMlpIn = !model.Config.AttentionOnly },
            Sources = new Dictionary<string, Plan> { ["base"] = patch.Base },
            Interventions = [.. receivers.SelectMany(r => Held(model.Config, patch, r, frozen[Stream(model.Config, r)], scales.Captures))],
            Objective = new Objective { Metric = patch.Metric },
        });
        return run.Metric!.to(ScalarType.Float64).data<double>().ToArray();
    }

    private static IEnumerable<Intervention> Frozen(TransformerConfig config, PathPatch patch)
    {
        yield return new Intervention("blocks.*.attn.hook_z", new PatchFromOp("base"));
        if (config.AttentionOnly) yield break;
        if (patch.FreezeMlps) yield return new Intervention("blocks.*.hook_mlp_out", new PatchFromOp("base"));
        else if (patch.FreezeNorms) yield return new Intervention("blocks.*.ln2.hook_scale", new PatchFromOp("base"));
    }

    private static Intervention Patched(Sender sender, PathPatch patch)
    {
        var where = new Selector { Positions = patch.SenderPositions };
        return sender.Kind switch
        {
            SenderKind.Head => new Intervention($"blocks.{sender.Layer}.attn.hook_z",
                new PatchFromOp("source")) { Where = where with { Heads = Positions.At(sender.Index) } },
            SenderKind.Mlp => new Intervention($"blocks.{sender.Layer}.hook_mlp_out", new PatchFromOp("source")) { Where = where },
            _ => new Intervention($"blocks.{sender.Layer}.hook_resid_pre", new PatchFromOp("source")) { Where = where },
        };
    }

    private static string Stream(TransformerConfig config, Receiver receiver) => receiver.Kind switch
    {
        ReceiverKind.Logits => $"blocks.{config.LayerCount - 1}.hook_resid_post",
        ReceiverKind.Mlp when !config.ParallelBlocks => $"blocks.{receiver.Layer}.hook_resid_mid",
        _ => $"blocks.{receiver.Layer}.hook_resid_pre",
    };

    private static IEnumerable<Intervention> Held(TransformerConfig config, PathPatch patch, Receiver receiver, Tensor input,
        IReadOnlyDictionary<string, Tensor> scales)
    {
        var (point, norm) = receiver.Kind switch
        {
            ReceiverKind.Logits => (Stream(config, receiver), "ln_final.hook_scale"),
            ReceiverKind.Mlp => ($"blocks.{receiver.Layer}.hook_mlp_in", $"blocks.{receiver.Layer}.ln2.hook_scale"),
            var kind => ($"blocks.{receiver.Layer}.hook_{kind.ToString().ToLowerInvariant()[0]}_input",
                $"blocks.{receiver.Layer}.ln1.hook_scale"),
        };
        var where = new Selector { Positions = patch.ReceiverPositions };
        if (!patch.ReceiverPositions.IsAll)
            input = input.index_select(1, tensor(patch.ReceiverPositions.Resolve((int)input.size(1), "position").Select(p =>
                (long)p).ToArray()));
        yield return receiver.Kind is ReceiverKind.Mlp or ReceiverKind.Logits
            ? new Intervention(point, new SetOp(input)) { Where = where }
            : new Intervention(point, new SetOp(input.unsqueeze(2))) { Where = where with { Heads = Positions.At(receiver.Index) } };
        // The first receivers' layer has the base run's stream, so freezing the norm of its other heads changes nothing.
        if (!patch.FreezeNorms || !config.HasNorm) yield break;
        yield return norm.Contains("ln1", StringComparison.Ordinal)
            ? new Intervention(norm, new SetOp(scales[norm].unsqueeze(-1)))
            : new Intervention(norm, new PatchFromOp("base"));
    }
}
