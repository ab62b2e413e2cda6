using InteropInterp.Attribution;
using InteropInterp.Hooks;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Attribution patching of nodes and edges.</summary>
public static class AttributionMapping
{
    // As sweeps call them.
    private static readonly Dictionary<HookAxis, string> Axes = new()
    {
        [HookAxis.Position] = "pos",
        [HookAxis.KeyPosition] = "src_pos",
        [HookAxis.Head] = "head",
        [HookAxis.KeyHead] = "head",
        [HookAxis.MlpWidth] = "neuron",
    };

    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_SITE, UNKNOWN_ENUM_VALUE, errors of plans and metrics.</exception>
    public static NodePatch ToEngine(V1.NodePatch? message, IReferences references, string field = "patch") =>
        message is null ? throw Fields.Missing(field, "a node patch") : new NodePatch
        {
            Clean = PlanMapping.ToEngine(message.Clean, references, $"{field}.clean"),
            Corrupt = PlanMapping.ToEngine(message.Corrupt, references, $"{field}.corrupt"),
            Metric = Metric(message.Metric, references, $"{field}.metric"),
            Sites = [.. message.Sites.Select(SiteMapping.ToEngine)],
            Directions = ToEngine(message.Direction, PatchDirections.Denoising, $"{field}.direction"),
            FixQueriesAndKeys = message.FixQueriesAndKeys,
            DropGradients = message.DropGradients,
        };

    public static V1.NodePatch ToProto(NodePatch value, IReferenceWriter writer) => new()
    {
        Clean = PlanMapping.ToProto(value.Clean, writer),
        Corrupt = PlanMapping.ToProto(value.Corrupt, writer),
        Metric = ObjectiveMapping.ToProto(value.Metric, writer),
        Sites = { value.Sites.Select(SiteMapping.ToProto) },
        Direction = (V1.PatchDirection)value.Directions,
        FixQueriesAndKeys = value.FixQueriesAndKeys,
        DropGradients = value.DropGradients,
    };

    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_ENUM_VALUE, errors of plans and metrics.</exception>
    public static EdgePatch ToEngine(V1.EdgePatch? message, IReferences references, string field = "patch")
    {
        if (message is null) throw Fields.Missing(field, "an edge patch");
        var patch = new EdgePatch
        {
            Clean = PlanMapping.ToEngine(message.Clean, references, $"{field}.clean"),
            Corrupt = PlanMapping.ToEngine(message.Corrupt, references, $"{field}.corrupt"),
            Metric = Metric(message.Metric, references, $"{field}.metric"),
            Direction = ToEngine(message.Direction, PatchDirections.Noising, $"{field}.direction"),
            Method = message.Method switch
            {
                V1.EdgeMethod.Unspecified or V1.EdgeMethod.Gradient => EdgeMethod.Gradient,
                V1.EdgeMethod.IntegratedInputs => EdgeMethod.IntegratedInputs,
                V1.EdgeMethod.IntegratedActivations => EdgeMethod.IntegratedActivations,
                var other => throw Fields.UnknownValue($"{field}.method", other),
            },
        };
        return message.HasSteps ? patch with { Steps = message.Steps } : patch;
    }

    public static V1.EdgePatch ToProto(EdgePatch value, IReferenceWriter writer) => new()
    {
        Clean = PlanMapping.ToProto(value.Clean, writer),
        Corrupt = PlanMapping.ToProto(value.Corrupt, writer),
        Metric = ObjectiveMapping.ToProto(value.Metric, writer),
        Direction = (V1.PatchDirection)value.Direction,
        Method = value.Method switch
        {
            EdgeMethod.IntegratedInputs => V1.EdgeMethod.IntegratedInputs,
            EdgeMethod.IntegratedActivations => V1.EdgeMethod.IntegratedActivations,
            _ => V1.EdgeMethod.Gradient,
        },
        Steps = value.Steps,
    };

    /// <summary>The axes of a site's attributions: layers, then all that is not summed over.</summary>
    public static IEnumerable<string> AxesOf(HookSite site) => HookSiteInfo.Of(site).Axes.Where(Axes.ContainsKey).Select(a => Axes[a]).Prepend("layer");

    internal static Metric Metric(V1.Metric? message, IReferences references, string field) =>
        message is null ? throw Fields.Missing(field, "a metric") : ObjectiveMapping.ToEngine(message, references, field);

    internal static PatchDirections ToEngine(V1.PatchDirection direction, PatchDirections unset, string field) => direction switch
    {
        V1.PatchDirection.Unspecified => unset,
        V1.PatchDirection.Denoising => PatchDirections.Denoising,
        V1.PatchDirection.Noising => PatchDirections.Noising,
        V1.PatchDirection.Both => PatchDirections.Both,
        _ => throw Fields.UnknownValue(field, direction),
    };
}
