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
            if (output.requires_grad) Propagate(output, gradient);
        for (var i = cuts.Count - 1; i >= 0; i--)
        {
            using var scope = NewDisposeScope();
            var cut = cuts[i];
            // A point that nothing above depends on has gradient zero.
            var gradient = cut.Leaf.grad is { } g ? g.detach() : zeros_like(cut.Leaf);
            if (cut.Cotangent is { } extra) gradient = gradient.Plus(extra);
            if (cut.Visit is { } visit) gradient = visit(gradient);
            if (i > 0 && cut.Output.requires_grad) Propagate(cut.Output, gradient);
            if (keep)
            {
                cut.Leaf.grad = null;
                continue;
            }
            Release(cut);
            cuts.RemoveAt(i);
        }
    }

    // Neighbouring cuts (q, k, v) share the graph below them, so it is kept until the last of them is released.
    private static void Propagate(Tensor output, Tensor gradient) => output.backward([gradient], create_graph: false, retain_graph: true);

    private static void Release(Cut cut)
    {
        cut.Output.Dispose();
        cut.Leaf.Dispose();
        cut.Cotangent?.Dispose();
    }

    public void Dispose()
    {
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
