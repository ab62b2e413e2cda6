using InteropInterp.Hooks;
using InteropInterp.Models.Forward;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>Which activations of a run a sweep needs.</summary>
/// <param name="Starts">As they enter a point, before any edit of the plan there: where cells resume.</param>
/// <param name="Points">As they leave it: what cells attend to, differ from, or take over.</param>
internal sealed record SweepRecording(IEnumerable<HookPoint> Starts, IEnumerable<HookPoint> Points);

/// <summary>Keeps chosen activations of the base run of a sweep, around the plan's own interventions.</summary>
internal sealed class BaseRecorder(IActivationHooks inner, SweepRecording recording) : IActivationHooks, IDisposable
{
    private readonly HashSet<HookPoint> starts = [.. recording.Starts], points = [.. recording.Points];
    private readonly Dictionary<HookPoint, Tensor> entering = [], leaving = [];

    /// <summary>As it left the point.</summary>
    public Tensor this[HookSite site, int layer] => leaving[new HookPoint(site, layer)];

    /// <summary>As it entered the point.</summary>
    public Tensor Entering(HookSite site, int layer) => entering[new HookPoint(site, layer)];

    public bool Wants(HookSite site, int layer) => points.Contains(new HookPoint(site, layer)) || inner.Wants(site, layer);

    public Tensor At(HookSite site, int layer, Tensor value, bool isShared = false)
    {
        var point = new HookPoint(site, layer);
        if (starts.Contains(point)) entering[point] = value.alias().DetachFromDisposeScope();
        // A callback may write into what it is given, which may be what was kept, here or at a point before.
        value = inner.At(site, layer, value, isShared: true);
        if (points.Contains(point)) leaving[point] = value.alias().DetachFromDisposeScope();
        return value;
    }

    public void Dispose()
    {
        foreach (var tensor in entering.Values.Concat(leaving.Values)) tensor.Dispose();
    }
}
