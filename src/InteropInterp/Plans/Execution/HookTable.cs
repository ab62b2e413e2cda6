using InteropInterp.Hooks;
using InteropInterp.Models.Forward;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Interventions;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Execution;

/// <summary>
/// A checked plan compiled for passes over one batch: per hook point what to capture, edit and differentiate, found by one array
/// lookup.
/// </summary>
internal sealed class HookTable : IActivationHooks
{
    private static readonly int SiteCount = Enum.GetValues<HookSite>().Length;

    private readonly CheckedPlan plan;
    private readonly PointActions?[] actions;
    private readonly CaptureStore captures;
    private readonly FiredCounter fired;
    private readonly Func<string, string, Tensor> sourceRegion;
    private readonly Device device;
    private BatchGeometry batch;

    private sealed class PointActions
    {
        public List<CheckedCapture> Before { get; } = [];
        public List<(CheckedIntervention Intervention, string? SourceName)> Edits { get; } = [];
        public List<CheckedCapture> After { get; } = [];
        public List<CheckedCapture> Gradients { get; } = [];
        public List<(CheckedIntervention Intervention, string? SourceName)> GradientEdits { get; } = [];
        public Tensor? Cotangent { get; set; }
        public bool IsCut => Gradients.Count > 0 || GradientEdits.Count > 0 || Cotangent is not null;
    }

    /// <param name="sourceRegion">Given a source and the name under which it keeps what is read, the region.</param>
    /// <param name="tape">Where gradients are recorded; null where there are none.</param>
    public HookTable(
        CheckedPlan plan, BatchGeometry batch, CaptureStore captures, FiredCounter fired, Func<string, string, Tensor> sourceRegion,
        GradientTape? tape, Device device)
    {
        this.plan = plan;
        this.batch = batch;
        this.captures = captures;
        this.fired = fired;
        this.sourceRegion = sourceRegion;
        this.device = device;
        Tape = tape;
        actions = new PointActions?[(plan.EndLayer + 1) * SiteCount];
        foreach (var capture in plan.Captures)
            (capture.Capture.Gradient ? At(capture.Point).Gradients : capture.Capture.Before ? At(capture.Point).Before : At(capture.Point).After).Add(capture);
        foreach (var intervention in plan.Interventions)
            for (var i = 0; i < intervention.Points.Count; i++)
            {
                var point = At(intervention.Points[i]);
                (intervention.Intervention.Gradient ? point.GradientEdits : point.Edits).Add((intervention, intervention.SourceNames?[i]));
            }
        foreach (var (point, value) in plan.Cotangents) At(point).Cotangent = value;
    }

    public GradientTape? Tape { get; }

    /// <summary>Moves on to the next pass of the same batch: the next decode step.</summary>
    public void Next(BatchGeometry next) => batch = next;

    public bool Wants(HookSite site, int layer) => actions[Ordinal(site, layer)] is not null;

    public Tensor At(HookSite site, int layer, Tensor value, bool isShared = false)
    {
        var found = actions[Ordinal(site, layer)];
        if (found is null) return Tape is { IsRecording: true } && site == HookSite.ResidPre ? Tape.Start(new HookPoint(site, layer), value) : value;
        var point = new HookPoint(site, layer);
        foreach (var capture in found.Before) captures.Keep(capture, value, plan, batch, device);
        foreach (var (intervention, sourceName) in found.Edits) value = Edit(intervention, sourceName, point, value, ref isShared);
        if (Tape is not null && (found.IsCut || (Tape.IsRecording && site == HookSite.ResidPre)))
            value = Tape.Start(point, value, Visitor(point, found), Cotangent(found));
        foreach (var capture in found.After) captures.Keep(capture, value, plan, batch, device);
        return value;
    }

    private Func<Tensor, Tensor>? Visitor(HookPoint point, PointActions found)
    {
        if (found.Gradients.Count == 0 && found.GradientEdits.Count == 0) return null;
        return gradient =>
        {
            var isShared = true;
            foreach (var (intervention, sourceName) in found.GradientEdits) gradient = Edit(intervention, sourceName, point, gradient, ref isShared);
            foreach (var capture in found.Gradients) captures.Keep(capture, gradient, plan, batch, device);
            return gradient;
        };
    }

    private Tensor? Cotangent(PointActions found)
    {
        if (found.Cotangent is not { } whole) return null;
        var rows = tensor(batch.Rows.Select(r => (long)r).ToArray(), device: whole.device);
        return whole.index_select(0, rows);
    }

    private Tensor Edit(CheckedIntervention intervention, string? sourceName, HookPoint point, Tensor value, ref bool isShared)
    {
        var declared = intervention.Intervention;
        if (!declared.Where.HoldsAt(batch.Step)) return value;
        if (declared.Op is CallbackOp callback)
        {
            fired.Count(intervention.Index, point, batch.Rows.Count);
            value = Call(callback, point, value, isShared, Tape is { IsRecording: true } && !declared.Gradient);
            isShared = false;
            return value;
        }
        foreach (var region in Region.Of(plan.Catalogue, point, declared.Where, batch, plan.RowCount, device))
        {
            var source = sourceName is null ? null : sourceRegion(declared.Op.Reads!.Source, sourceName);
            var input = new OpInput(point, region.Rows, region.Selected, batch.Step, plan.Plan.Seed, source);
            value = region.Write(value, declared.Op.Apply(region.Read(value), input));
            isShared = false;
            fired.Count(intervention.Index, point, region.Rows.Count);
        }
        return value;
    }

    private Tensor Call(CallbackOp callback, HookPoint point, Tensor value, bool isShared, bool isRecorded)
    {
        // What was kept before, or belongs to a weight, must not change under the callback's hands.
        var given = isShared || isRecorded || captures.Holds(value) || !value.is_contiguous() ? value.detach().contiguous().clone() : value;
        var before = isRecorded ? given.clone() : null;
        var returned = callback.Function(given, new CallbackContext(point, batch.Step));
        if (returned is not null)
        {
            InterpException.Require(returned.shape.SequenceEqual(value.shape), "CALLBACK_SHAPE",
                $"The callback at '{point.Name}' returned [{string.Join(", ", returned.shape)}]; [{string.Join(", ", value.shape)}] is expected.");
            if (returned.dtype != value.dtype || !returned.device.Equals(value.device)) returned = returned.to(value.dtype, value.device);
        }
        if (before is null) return returned ?? given;
        // Recording: a callback that only looked leaves the graph whole; one that edited cannot be differentiated through.
        if (returned is null && given.eq(before).all().item<bool>()) return value;
        throw InterpException.Precondition("GRADIENT_THROUGH_CALLBACK",
            $"The callback at '{point.Name}' edits the activation between a point whose gradient is asked for and the objective; its derivative is unknown. " +
            "Use a declared intervention there (set, add, scale, project, patch).");
    }

    private PointActions At(HookPoint point) => actions[Ordinal(point.Site, point.Layer)] ??= new PointActions();

    // Layers beyond the last that runs share the row of points outside the blocks: nothing is ever declared there.
    private static int Ordinal(HookSite site, int layer) => (layer + 1) * SiteCount + (int)site;
}
