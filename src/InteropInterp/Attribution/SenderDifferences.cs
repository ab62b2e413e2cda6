using InteropInterp.Circuits;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Plans.Checking;
using static TorchSharp.torch;

namespace InteropInterp.Attribution;

/// <summary>What every sender writes differently in two runs over some rows. It owns its tensors.</summary>
internal sealed class SenderDifferences : IDisposable
{
    private readonly TensorTable here = new(), there = new();

    /// <summary>Runs both sides forward.</summary>
    public SenderDifferences(TransformerModel model, ResidualGraph graph, CheckedPlan here, CheckedPlan there, IReadOnlyList<int> rows)
    {
        var points = graph.Senders.Select(s => s.Point).ToHashSet();
        TapedPass.Forward(model, here, rows, points, this.here.Keep);
        TapedPass.Forward(model, there, rows, points, this.there.Keep);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var first = this.here[points.First()];
        Matrix = empty([graph.Senders.Count, (long)rows.Count * first.size(1) * model.Config.ModelWidth], model.DataType,
            model.Device).DetachFromDisposeScope();
        foreach (var group in graph.Senders.GroupBy(s => s.Point))
            Matrix.narrow(0, graph.IndexOf(group.First()), group.Count()).copy_(Written(model, group.Key).reshape(group.Count(), -1));
    }

    /// <summary>[senders, rows · pos · d_model].</summary>
    public Tensor Matrix { get; }

    /// <summary>A point's activation part of the way from one run to the other.</summary>
    public Tensor Between(HookPoint point, double share) => here[point].PlusScaled(there[point] - here[point], share);

    // [senders, rows, pos, d_model].
    private Tensor Written(TransformerModel model, HookPoint point)
    {
        var difference = there[point] - here[point];
        if (point.Site != HookSite.Z) return difference.unsqueeze(0);
        var config = model.Config;
        // Each head through its own rows of W_O: [heads, d_head, d_model].
        var matrices = model.Weights.Blocks[point.Layer].Attention.Output.view(config.ModelWidth, config.HeadCount,
            config.HeadWidth).permute(1, 2, 0);
        return difference.permute(2, 0, 1, 3).flatten(1, 2).bmm(matrices);
    }

    public void Dispose()
    {
        here.Dispose();
        there.Dispose();
        Matrix.Dispose();
    }
}
