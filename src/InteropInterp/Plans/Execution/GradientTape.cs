using InteropInterp.Hooks;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Execution;

/// <summary>
/// Backward in segments. Each layer, and each point where a gradient is asked for or edited, starts at a detached leaf; the walk
/// goes from the last cut to the first, so that a segment's memory goes as soon as it is done, hooks see (and may replace) the
/// gradient on its way, and nothing below the lowest point is differentiated.
/// </summary>
internal sealed class GradientTape : IDisposable
{
    private readonly List<Cut> cuts = [];
    private readonly List<(Tensor Output, Tensor Gradient)> roots = [];

    // Visited on the way back, their gradients not yet handed on: those of one product wait for each other.
    private readonly List<(Cut Cut, Tensor Gradient)> pending = [];

    private sealed record Cut(HookPoint Point, Tensor Output, Tensor Leaf, Func<Tensor, Tensor>? Visit, Tensor? Cotangent);

    /// <summary>Whether anything has been cut: from then on the pass is recorded.</summary>
    public bool IsRecording => cuts.Count > 0;

    /// <summary>Ends a segment at a point and starts the next: the pass goes on with what is returned.</summary>
    /// <param name="visit">Given the gradient on the way back; returns the one to go on with.</param>
    /// <param name="cotangent">Added to the gradient there.</param>
    public Tensor Start(HookPoint point, Tensor value, Func<Tensor, Tensor>? visit = null, Tensor? cotangent = null)
    {
        var leaf = value.detach().requires_grad_().DetachFromDisposeScope();
        cuts.Add(new Cut(point, value.alias().DetachFromDisposeScope(), leaf, visit, cotangent?.alias().DetachFromDisposeScope()));
        return leaf.alias();
    }

    /// <summary>Something to differentiate: an output, and the gradient that comes in there.</summary>
    public void Root(Tensor output, Tensor gradient) =>
        roots.Add((output.alias().DetachFromDisposeScope(), gradient.alias().DetachFromDisposeScope()));

    /// <summary>Walks back to the first cut.</summary>
    /// <param name="keep">Keep what was recorded for another walk.</param>
    public void Backward(bool keep = false)
    {
        using var mode = enable_grad();
        foreach (var (output, gradient) in roots)
            if (output.requires_grad) output.backward([gradient], create_graph: false, retain_graph: true);
        for (var i = cuts.Count - 1; i >= 0; i--)
        {
            using var scope = NewDisposeScope();
            var cut = cuts[i];
            if (!pending.TrueForAll(p => AreComputedTogether(p.Cut.Point, cut.Point))) Propagate(keep);
            // A point that nothing above depends on has gradient zero.
            var gradient = cut.Leaf.grad is { } g ? g.detach() : zeros_like(cut.Leaf);
            if (cut.Cotangent is { } extra) gradient = gradient.Plus(extra);
            if (cut.Visit is { } visit) gradient = visit(gradient);
            pending.Add((cut, gradient.alias().DetachFromDisposeScope()));
        }
        Propagate(keep);
    }

    // One product gives them, so one product takes their gradients back.
    private static bool AreComputedTogether(HookPoint a, HookPoint b) => a.Layer == b.Layer && a.Site != b.Site && (a.Site, b.Site) is
        (HookSite.Q or HookSite.K or HookSite.V, HookSite.Q or HookSite.K or HookSite.V)
        or (HookSite.MlpPre or HookSite.MlpPreLinear, HookSite.MlpPre or HookSite.MlpPreLinear);

    // To the cuts below. Others may share the graph there (a residual stream and what reads it), so it is kept until the last is released.
    private void Propagate(bool keep)
    {
        var recorded = pending.FindAll(p => p.Cut.Output.requires_grad);
        if (recorded.Count > 0)
            autograd.backward([.. recorded.Select(p => p.Cut.Output)], [.. recorded.Select(p => p.Gradient)], retain_graph: true);
        foreach (var (cut, gradient) in pending)
        {
            gradient.Dispose();
            if (keep) cut.Leaf.grad = null;
            else Release(cut);
        }
        if (!keep) cuts.RemoveRange(cuts.Count - pending.Count, pending.Count);
        pending.Clear();
    }

    private static void Release(Cut cut)
    {
        cut.Output.Dispose();
        cut.Leaf.Dispose();
        cut.Cotangent?.Dispose();
    }

    public void Dispose()
    {
        foreach (var (_, gradient) in pending) gradient.Dispose();
        foreach (var cut in cuts) Release(cut);
        foreach (var (output, gradient) in roots)
        {
            output.Dispose();
            gradient.Dispose();
        }
        cuts.Clear();
        roots.Clear();
    }
}
