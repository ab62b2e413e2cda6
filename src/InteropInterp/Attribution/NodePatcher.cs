using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;

namespace InteropInterp.Attribution;

/// <summary>Runs attribution patching of nodes.</summary>
public static class NodePatcher
{
    /// <summary>Runs on the calling thread, which takes the device's lease and offers it between passes.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run, before anything runs; CANCELLED within a pass.</exception>
    public static NodeAttribution Run(
        TransformerModel model, NodePatch patch, ExecutionOptions? options = null, CancellationToken cancellation = default) =>
        DeviceLeases.Of(model.Device).Run(Start(model, patch, options), cancellation);

    /// <summary>Checked, ready to be stepped through by threads that hold the device's lease. Nothing has run yet.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run.</exception>
    public static NodePatchExecution Start(TransformerModel model, NodePatch patch, ExecutionOptions? options = null)
    {
        Check(model, patch);
        return new NodePatchExecution(model, patch, options ?? new ExecutionOptions());
    }

    private static void Check(TransformerModel model, NodePatch patch)
    {
        AttributionPairs.Check(model, patch.Clean, patch.Corrupt, patch.Metric);
        InterpException.Require(patch.Sites.Count > 0, "SELECTS_NOTHING", "No site is to be attributed to.");
        InterpException.Require(patch.Sites.Distinct().Count() == patch.Sites.Count, "SITE_TWICE", "A site is named twice.");
        InterpException.Require((patch.Directions & PatchDirections.Both) != 0, "SELECTS_NOTHING", "No direction is asked for.");
        var catalogue = new HookCatalogue(model.Config, patch.Clean.Flags);
        foreach (var site in patch.Sites)
        {
            var info = HookSiteInfo.Of(site);
            InterpException.Require(info.IsPerLayer, "ATTRIBUTION_SITE", $"'{info.Name}' is no site of the blocks.");
            InterpException.Require(site != HookSite.AttnScores, "ATTRIBUTION_SITE",
                "Masked attention scores are minus infinity: their difference is nothing. Attribute to the pattern.");
            for (var layer = 0; layer < model.Config.LayerCount; layer++) catalogue.Resolve(new HookPoint(site, layer).Name);
        }
        InterpException.Require(!patch.DropGradients || model.Config.LayerCount > 1, "GRADDROP_NEEDS_LAYERS",
            "GradDrop holds one layer and looks at the others: it needs two layers.");
    }
}
