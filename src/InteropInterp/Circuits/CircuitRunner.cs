using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Devices;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Circuits;

/// <summary>
/// Runs a model with some edges of its residual graph ablated: whoever reads along such an edge gets what the ablation puts in the
/// place of the sender's output, everybody else the output as it is (ACDC's and EAP's notion of a circuit). Several circuits run
/// together, from the first layer in which one of them leaves an edge out.
/// </summary>
public sealed class CircuitRunner : IDisposable
{
    private readonly TransformerModel model;
    private readonly CheckedPlan plan;
    private readonly ExecutionOptions options;
    private readonly int start;
    private readonly BaseRun baseRun;
    private readonly Dictionary<HookPoint, Tensor> ablated = [];

    /// <summary>Runs the prompts and what the ablation needs, once.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run, before anything runs but for means and samples that do not fit; CANCELLED.</exception>
    public CircuitRunner(TransformerModel model, CircuitTask task, ExecutionOptions? options = null,
        CancellationToken cancellation = default)
    {
        (this.model, this.options, Graph) = (model, options ?? new ExecutionOptions(), new ResidualGraph(model.Config));
        var source = task.Ablation.Asks;
        plan = CircuitChecker.Check(model, task);
        var shared = task.Ablation is SweepFromRun ? RowPairs.SharedPrefix(model.Config, task.Prompts, source!) : 0;
        start = Math.Min(shared, plan.Length - 1);
        var points = Graph.Senders.Select(s => s.Point).ToHashSet();
        using var run = source is null ? null : PlanRunner.Run(model,
            source with { Captures = [.. points.Select(p => new Capture(p.Name))] }, options, cancellation);
        baseRun = DeviceLeases.Of(model.Device).Run(Stepwise.Once(() =>
            new BaseRun(model, plan, points.Concat(TailLayout.Reads(model.Config, 0)))), cancellation);
        try
        {
            using var scope = NewDisposeScope();
            foreach (var point in points)
            {
                var shape = baseRun[point].shape;
                ablated[point] = (run is not null ? task.Ablation.Made(run[point.Name], shape)
                        : task.Ablation.Given(model, plan, point) ?? zeros(shape, model.DataType, model.Device))
                    .alias().DetachFromDisposeScope();
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public ResidualGraph Graph { get; }

    internal Device Device => model.Device;

    internal ScalarType DataType => model.DataType;

    /// <summary>The metric of the whole model, per row.</summary>
    public IReadOnlyList<double> Baseline => baseRun.Metric;

    /// <summary>The metric of a circuit, mean over rows.</summary>
    public double Run(Circuit circuit, CancellationToken cancellation = default) => Run([circuit], cancellation)[0].Average();

    /// <summary>The metric of circuits, each per row.</summary>
    /// <exception cref="InterpException">CIRCUIT_OF_OTHER_MODEL; CANCELLED between passes.</exception>
    public IReadOnlyList<double[]> Run(IReadOnlyList<Circuit> circuits, CancellationToken cancellation = default) =>
        DeviceLeases.Of(model.Device).Run(Start(circuits), cancellation);

    /// <summary>The same, pass by pass. The runner stays the caller's.</summary>
    /// <exception cref="InterpException">CIRCUIT_OF_OTHER_MODEL.</exception>
    public IStepwise<IReadOnlyList<double[]>> Start(IReadOnlyList<Circuit> circuits)
    {
        foreach (var circuit in circuits) CircuitChecker.CheckFits(circuit, Graph);
        return new Passes(this, circuits);
    }

    private List<double[]> Pass(Circuit[] circuits)
    {
        var first = circuits.Min(FirstMissing);
        if (first is int.MaxValue) return [.. circuits.Select(_ => baseRun.Metric)];
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var layer = Math.Min(first, model.Config.LayerCount);
        var hooks = new EdgeHooks(model, Graph, circuits, From(ablated), From(baseRun), layer);
        var layout = new TailLayout(model.Config, baseRun, circuits.Length, start);
        Tensor final;
        if (layer == model.Config.LayerCount)
        {
            final = hooks.At(HookSite.ResidPost, layer - 1, From(baseRun.Final).repeat([circuits.Length, 1, 1]));
        }
        else
        {
            var stream = From(baseRun[new HookPoint(HookSite.ResidPre, layer)]).repeat([circuits.Length, 1, 1]);
            final = new ForwardPass(model, new ModelFlags { UseSplitQkvInput = true }, hooks, layout).Blocks(stream, layer,
                model.Config.LayerCount);
        }
        var values = new MetricReader(model, plan).Read(final, start, baseRun.Final);
        return [.. values.Chunk(plan.RowCount)];
    }

    // The layer of the first receiver that misses an edge; logits lie behind the last.
    private int FirstMissing(Circuit circuit)
    {
        for (var r = 0; r < Graph.Receivers.Count; r++)
            for (var s = 0; s < Graph.Reaching(r); s++)
                if (!circuit.Contains(s, r)) return Graph.Receivers[r].Kind == ReceiverKind.Logits ? model.Config.LayerCount
                    : Graph.Receivers[r].Layer;
        return int.MaxValue;
    }

    private int CircuitsAtOnce()
    {
        var config = model.Config;
        long heads = config.HeadCount + 2L * config.KeyHeads, width = config.ModelWidth;
        var perPosition = Graph.Senders.Count * width + 4 * heads * width + 6 * width + 3L * (config.MlpWidth ?? 0);
        var bytes = perPosition * plan.RowCount * (plan.Length - start) * model.ElementSize;
        return (int)Math.Clamp(options.BatchBudget / 4 / bytes, 1, 64);
    }

    private Func<HookPoint, Tensor> From(Dictionary<HookPoint, Tensor> values) => point => From(values[point]);

    private Func<HookPoint, Tensor> From(BaseRun run) => point => From(run[point]);

    private Tensor From(Tensor whole) => whole.narrow(1, start, plan.Length - start);

    private sealed class Passes(CircuitRunner runner, IReadOnlyList<Circuit> circuits) : IStepwise<IReadOnlyList<double[]>>, IHasProgress
    {
        private readonly int atOnce = runner.CircuitsAtOnce();
        private readonly List<double[]> results = [];

        public (int Done, int Total) Progress => (results.Count, circuits.Count);

        public bool Advance()
        {
            if (results.Count < circuits.Count) results.AddRange(runner.Pass([.. circuits.Skip(results.Count).Take(atOnce)]));
            return results.Count < circuits.Count;
        }

        public IReadOnlyList<double[]> TakeResult() =>
            results.Count == circuits.Count ? results : throw new InvalidOperationException("The work has steps left.");

        public void Dispose()
        {
        }
    }

    public void Dispose()
    {
        baseRun.Dispose();
        foreach (var tensor in ablated.Values) tensor.Dispose();
    }
}
