using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Plans;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Path patching and its result.</summary>
public static class PathMapping
{
    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_SENDER, UNKNOWN_RECEIVER, errors of plans and metrics.</exception>
    public static PathPatch ToEngine(V1.PathPatch? message, IReferences references, string field = "patch") =>
        message is null ? throw Fields.Missing(field, "a path patch") : new PathPatch
        {
            Base = PlanMapping.ToEngine(message.Base, references, $"{field}.base"),
            Source = PlanMapping.ToEngine(message.Source, references, $"{field}.source"),
            Metric = AttributionMapping.Metric(message.Metric, references, $"{field}.metric"),
            Senders = [.. message.Senders.Select(set => (IReadOnlyList<Sender>)[.. set.Senders.Select(Sender.Parse)])],
            Receivers = [.. message.Receivers.Select(set => (IReadOnlyList<Receiver>)[.. set.Receivers.Select(Receiver.Parse)])],
            FreezeMlps = !message.HasFreezeMlps || message.FreezeMlps,
            FreezeNorms = message.FreezeNorms,
            SenderPositions = SelectorMapping.ToEngine(message.SenderPositions, $"{field}.sender_positions") ?? Positions.All,
            ReceiverPositions = SelectorMapping.ToEngine(message.ReceiverPositions, $"{field}.receiver_positions") ?? Positions.All,
        };

    public static V1.PathPatch ToProto(PathPatch value, IReferenceWriter writer) => new()
    {
        Base = PlanMapping.ToProto(value.Base, writer),
        Source = PlanMapping.ToProto(value.Source, writer),
        Metric = ObjectiveMapping.ToProto(value.Metric, writer),
        Senders = { value.Senders.Select(set => new V1.SenderSet { Senders = { set.Select(s => s.Name) } }) },
        Receivers = { value.Receivers.Select(set => new V1.ReceiverSet { Receivers = { set.Select(r => r.Name) } }) },
        FreezeMlps = value.FreezeMlps,
        FreezeNorms = value.FreezeNorms,
        SenderPositions = SelectorMapping.Chosen(value.SenderPositions),
        ReceiverPositions = SelectorMapping.Chosen(value.ReceiverPositions),
    };

    public static V1.PatchPathsResponse ToProto(PathPatchResult value) => new()
    {
        Values = { value.Values.Cast<double>() },
        PerRow = { value.PerRow.Cast<double>() },
        HasPath = { value.HasPath.Cast<bool>() },
        Baseline = value.Baseline,
    };
}
