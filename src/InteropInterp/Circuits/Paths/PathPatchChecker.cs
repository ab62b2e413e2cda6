using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;

namespace InteropInterp.Circuits.Paths;

/// <summary>Refuses paths that are none, and rows that do not correspond.</summary>
internal static class PathPatchChecker
{
    /// <summary>The base plan with the metric as its objective.</summary>
    public static CheckedPlan Check(TransformerModel model, PathPatch patch)
    {
        var config = model.Config;
        var plan = RowPairs.Check(model, patch.Base, patch.Source, patch.Metric);
        InterpException.Require(patch.Senders.Count > 0
            && patch.Senders.All(s => s.Count > 0), "SELECTS_NOTHING", "A set of senders is empty.");
        InterpException.Require(patch.Receivers.Count > 0
            && patch.Receivers.All(r => r.Count > 0), "SELECTS_NOTHING", "A set of receivers is empty.");
        foreach (var set in patch.Senders)
        {
            foreach (var sender in set) sender.Check(config);
            if (set.FirstOrDefault(s => s.Kind is SenderKind.ResidPre) is { Kind: SenderKind.ResidPre } stream
                && set.Any(s => s != stream && s.WrittenAt(config) <= stream.WrittenAt(config)))
                throw InterpException.Invalid("SENDER_HIDDEN",
                    $"'{stream}' replaces all that was written before layer {stream.Layer}; {string.Join(", ", set)} cannot be patched together.");
        }
        foreach (var set in patch.Receivers)
        {
            foreach (var receiver in set) receiver.Check(config);
            InterpException.Require(set.Count == 1 || !set.Contains(Receiver.Logits), "RECEIVER_HIDDEN",
                $"Where the input of 'logits' is held nothing else has an effect; {string.Join(", ", set)} cannot be patched together.");
        }
        InterpException.Require(HasPath(patch, config), "NO_PATH",
            $"No sender writes before a receiver reads: {string.Join(", ", patch.Senders[0])} -> {string.Join(", ", patch.Receivers[0])}.");
        CheckPositions(patch.SenderPositions, plan);
        CheckPositions(patch.ReceiverPositions, plan);
        return plan;
    }

    private static bool HasPath(PathPatch patch, TransformerConfig config) =>
        patch.Senders.Any(senders => patch.Receivers.Any(receivers => senders.Any(s => receivers.Any(r => s.Reaches(r, config)))));

    private static void CheckPositions(Positions positions, CheckedPlan plan)
    {
        if (positions.IsAll) return;
        RowPairs.RequireEqualLengths(plan.Plan, "Positions of a path");
        InterpException.Require(positions.Resolve(plan.Length, "position").Length > 0, "SELECTS_NOTHING",
            $"Positions {positions} are none.");
    }
}
