using InteropInterp.Circuits;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Attribution;

/// <summary>
/// Attribution patching of edges under way. All scores of a layer's receivers are one matrix product, of the senders' differences
/// and the gradients at what those receivers read, done where the gradients arise. A step is a pass.
/// </summary>
public sealed class EdgePatchExecution : IStepwise<EdgeScores>, IHasProgress
{
    private readonly TransformerModel model;
    private readonly EdgePatch patch;
    private readonly ResidualGraph graph;
    private readonly CheckedPlan here, there;
    private readonly ExecutionOptions options;
    private readonly IEnumerator<bool> steps;
    private readonly Tensor scores;
    private readonly List<int[]> batches;
    private int passes;

    internal EdgePatchExecution(TransformerModel model, EdgePatch patch, ExecutionOptions options)
    {
        (this.model, this.patch, this.options, graph) = (model, patch, options, new ResidualGraph(model.Config));
        var flags = patch.Clean.Flags with { UseSplitQkvInput = true, UseAttnIn = false, UseHookMlpIn = model.Config.HasMlp,
            UngroupGroupedQueryAttention = false };
        var (clean, corrupt) = (patch.Clean with { Flags = flags }, patch.Corrupt with { Flags = flags });
        var noising = patch.Direction == PatchDirections.Noising;
        here = AttributionPairs.Side(model, noising ? clean : corrupt, patch.Metric);
        there = AttributionPairs.Side(model, noising ? corrupt : clean, patch.Metric);
        batches = [.. Enumerable.Range(0, here.RowCount).Chunk(RowsAtOnce())];
        scores = zeros([graph.Senders.Count, graph.Receivers.Count], model.DataType, model.Device).DetachFromDisposeScope();
        steps = Steps().GetEnumerator();
    }

    /// <summary>Passes done, and passes in all.</summary>
    public (int Done, int Total) Progress => (passes, batches.Count * Ways().Count());

    /// <inheritdoc/>
    public bool Advance() => steps.MoveNext();

    /// <inheritdoc/>
    public EdgeScores TakeResult()
    {
        using var scope = NewDisposeScope();
        var values = new double[graph.Senders.Count, graph.Receivers.Count];
        Buffer.BlockCopy(scores.to(ScalarType.Float64).cpu().data<double>().ToArray(), 0, values, 0, values.Length * sizeof(double));
        return new EdgeScores(graph, values);
    }

    private IEnumerable<bool> Steps()
    {
        foreach (var rows in batches)
        {
            using var differences = new SenderDifferences(model, graph, here, there, rows);
            yield return true;
            foreach (var (points, share, weight) in Ways())
            {
                Pass(rows, differences, points, share, weight);
                passes++;
                yield return true;
            }
        }
    }

    // Each pass: the senders' points that are moved (none: all senders are scored where they stand), how far, and its weight.
    private IEnumerable<(HookPoint? Moved, double Share, double Weight)> Ways()
    {
        if (patch.Method == EdgeMethod.Gradient)
        {
            yield return (null, 0, 1);
            yield break;
        }
        var moved = patch.Method == EdgeMethod.IntegratedInputs ? [Sender.Input.Point] : graph.Senders.Select(s => s.Point).Distinct();
        foreach (var point in moved)
            for (var step = 0; step < patch.Steps; step++) yield return (point, (step + 0.5) / patch.Steps, 1.0 / patch.Steps);
    }

    private void Pass(IReadOnlyList<int> rows, SenderDifferences differences, HookPoint? moved, double share, double weight)
    {
        // Integrated activations score the senders that are moved, the others all.
        var own = patch.Method == EdgeMethod.IntegratedActivations && moved is { } point
            ? graph.Senders.Where(s => s.Point == point).ToList() : graph.Senders;
        var (first, end) = (graph.IndexOf(own[0]), graph.IndexOf(own[^1]) + 1);
        var read = graph.Receivers.Where((_, i) => graph.HasEdge(first, i)).Select(Point).ToHashSet();
        var points = moved is { } at ? read.Append(at).ToHashSet() : read;
        TapedPass.Backward(model, here, rows, points, Visit, moved is null ? null : (p, value) => p == moved ? differences.Between(p, share)
            : value);

        Tensor Visit(TapedHooks hooks, HookPoint p, Tensor value, Tensor gradient)
        {
            if (!read.Contains(p)) return gradient;
            using var scope = NewDisposeScope();
            // [rows, pos, (heads), d_model] -> [receivers, rows · pos · d_model].
            var gradients = gradient.dim() == 4 ? gradient.permute(2, 0, 1, 3).reshape(gradient.size(2), -1) : gradient.reshape(1, -1);
            var receiver = FirstAt(p);
            var count = Math.Min(end, graph.Reaching(receiver)) - first;
            if (count <= 0) return gradient;
            var products = differences.Matrix.narrow(0, first, count).MatMul(gradients.t());
            scores.narrow(0, first, count).narrow(1, receiver, gradients.size(0)).PlusInPlace(products.Times(weight));
            return gradient;
        }
    }

    private HookPoint Point(Receiver receiver) => receiver.Kind switch
    {
        ReceiverKind.Query => new(HookSite.QInput, receiver.Layer),
        ReceiverKind.Key => new(HookSite.KInput, receiver.Layer),
        ReceiverKind.Value => new(HookSite.VInput, receiver.Layer),
        ReceiverKind.Mlp => new(HookSite.MlpIn, receiver.Layer),
        _ => new(HookSite.ResidPost, model.Config.LayerCount - 1),
    };

    // The first of the receivers that read at a point; the others follow it.
    private int FirstAt(HookPoint point) => graph.IndexOf(point.Site switch
    {
        HookSite.QInput => Receiver.Query(point.Layer, 0),
        HookSite.KInput => Receiver.Key(point.Layer, 0),
        HookSite.VInput => Receiver.Value(point.Layer, 0),
        HookSite.MlpIn => Receiver.Mlp(point.Layer),
        _ => Receiver.Logits,
    });

    // The differences of all senders stay, and a recorded pass with an input per head.
    private int RowsAtOnce()
    {
        var config = model.Config;
        long width = config.ModelWidth, heads = config.HeadCount + 2L * config.KeyHeads;
        var perPosition = graph.Senders.Count * width + config.LayerCount * (4 * heads * width + 6 * width + 3L * (config.MlpWidth ?? 0) + 2L * config.HeadCount * here.Length);
        var bytes = perPosition * here.Length * model.ElementSize;
        if (options.MemoryLimit is { } limit && bytes > limit)
            throw new InterpException(ErrorCode.ResourceExhausted, "ATTRIBUTION_TOO_LARGE",
                $"Edges of one row need about {bytes >> 20:N0} MiB; the limit is {limit >> 20:N0} MiB. Give shorter rows.");
        return (int)Math.Clamp(options.BatchBudget / bytes, 1, here.RowCount);
    }

    public void Dispose()
    {
        steps.Dispose();
        scores.Dispose();
    }
}
