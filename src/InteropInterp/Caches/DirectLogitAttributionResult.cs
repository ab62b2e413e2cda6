using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>What components add to a logit. It owns its tensor.</summary>
/// <param name="Values">[components, rows, positions], in logits (before a soft cap).</param>
/// <param name="Labels">A name per component; b_U, the last, is what the model adds to the logit whatever the text.</param>
public sealed record DirectLogitAttributionResult(Tensor Values, IReadOnlyList<string> Labels) : IDisposable
{
    /// <summary>The components of largest absolute mean over rows and positions, largest first.</summary>
    public IReadOnlyList<(string Label, double Value)> Top(int count)
    {
        using var scope = NewDisposeScope();
        var means = Values.to(ScalarType.Float64).flatten(1).mean([1]).cpu().data<double>().ToArray();
        return [.. Labels.Zip(means).OrderByDescending(x => Math.Abs(x.Second)).Take(count)];
    }

    public void Dispose() => Values.Dispose();
}
