using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Paths;

/// <summary>
/// Path patching under way. What senders write, and what MLPs between make of it, is computed once for all receivers, many senders
/// together; of their cells those whose first receiver is in the same layer run together, from that layer and from the first position on
/// at which the runs differ.
/// </summary>
public sealed class PathPatchExecution : IStepwise<PathPatchResult>, IHasProgress
{
    // Beyond some thousand tokens a pass gains nothing.
    private const int TokensPerPass = 4096;

    private readonly TransformerModel model;
    private readonly TransformerConfig config;
    private readonly PathPatch patch;
    private readonly CheckedPlan plan;
    private readonly ExecutionOptions options;
    private readonly PlanExecution source;
    private readonly IEnumerator<bool> steps;
    private readonly List<(int Sender, int Receiver, int Layer)> cells = [];
    private readonly double[,,] perRow;
    private readonly bool[,] hasPath;
    private readonly int start;
    private readonly Dictionary<int, Tensor> changes = [];
    private RunResult? sourceRun;
    private BaseRun? baseRun;
    private int done;

    internal PathPatchExecution(TransformerModel model, PathPatch patch, ExecutionOptions options)
    {
        (this.model, this.patch, this.options, config) = (model, patch, options, model.Config);
        plan = PathPatchChecker.Check(model, patch);
        perRow = new double[patch.Senders.Count, patch.Receivers.Count, plan.RowCount];
        hasPath = new bool[patch.Senders.Count, patch.Receivers.Count];
        FindCells();
        start = First();
        var captures = patch.Senders.SelectMany(s => s).Select(s => s.Point.Name).Distinct().Select(name => new Capture(name));
        source = PlanRunner.Start(model, patch.Source with { Captures = [.. captures] }, options);
        steps = Steps().GetEnumerator();
    }

    /// <summary>Cells done, and cells in all.</summary>
    public (int Done, int Total) Progress => (done, patch.Senders.Count * patch.Receivers.Count);

    /// <inheritdoc/>
    public bool Advance() => steps.MoveNext();

    /// <inheritdoc/>
    public PathPatchResult TakeResult()
    {
        if (baseRun is null || done < Progress.Total) throw new InvalidOperationException("The run has steps left.");
        var values = new double[perRow.GetLength(0), perRow.GetLength(1)];
        for (var s = 0; s < values.GetLength(0); s++)
            for (var r = 0; r < values.GetLength(1); r++)
                values[s, r] = Enumerable.Range(0, plan.RowCount).Average(row => perRow[s, r, row]);
        return new PathPatchResult { Values = values, PerRow = perRow, HasPath = hasPath, Baseline = baseRun.Metric.Average() };
    }

    private void FindCells()
    {
        for (var s = 0; s < patch.Senders.Count; s++)
            for (var r = 0; r < patch.Receivers.Count; r++)
            {
                var reached = patch.Receivers[r].Where(x => patch.Senders[s].Any(sender => sender.Reaches(x, config))).ToList();
                if (reached.Count == 0) continue;
                hasPath[s, r] = true;
                cells.Add((s, r, reached.Min(x => Math.Min(x.Layer, config.LayerCount))));
            }
    }

    // The first position that may differ from the base run.
    private int First()
    {
        if (!config.IsCausal) return 0;
        var first = RowPairs.SharedPrefix(config, patch.Base, patch.Source);
        foreach (var positions in new[] { patch.SenderPositions, patch.ReceiverPositions })
            if (!positions.IsAll) first = Math.Max(first, positions.Resolve(plan.Length, "position").Min());
        return Math.Min(first, plan.Length - 1);
    }

    private IEnumerable<bool> Steps()
    {
        while (source.Advance()) yield return true;
        sourceRun = source.TakeResult();
        baseRun = new BaseRun(model, plan, Points());
        for (var s = 0; s < patch.Senders.Count; s++)
            for (var r = 0; r < patch.Receivers.Count; r++)
                if (!hasPath[s, r]) Set(s, r, baseRun.Metric);
        yield return true;
        foreach (var senders in cells.Select(c => c.Sender).Distinct().Chunk(SendersAtOnce()))
        {
            Change(senders);
            yield return true;
            var bySender = senders.Index().ToDictionary(s => s.Item, s => s.Index);
            foreach (var layer in cells.Where(c => bySender.ContainsKey(c.Sender)).GroupBy(c => c.Layer).OrderByDescending(g => g.Key))
                foreach (var chunk in layer.Chunk(CellsPerPass()))
                {
                    Pass(chunk, bySender);
                    patch.Progress?.Invoke(Progress.Done, Progress.Total);
                    yield return true;
                }
        }
    }

    private IEnumerable<HookPoint> Points()
    {
        foreach (var point in SenderChanges.Reads(config, patch)) yield return point;
        foreach (var receiver in patch.Receivers.SelectMany(r => r)) yield return receiver.Stream(config);
        foreach (var point in TailLayout.Reads(config, cells.Min(c => c.Layer))) yield return point;
    }

    private int CellsPerPass()
    {
        var tokens = Math.Min(TokensPerPass, options.BatchBudget / (8L * (6 * config.ModelWidth + 4 * config.HeadCount * config.HeadWidth + 3 * (config.MlpWidth ?? 0))));
        return (int)Math.Max(1, tokens / ((long)plan.RowCount * (plan.Length - start)));
    }

    // What they change is kept for every time at which a receiver reads.
    private int SendersAtOnce()
    {
        var bytes = ReadTimes().Count * (long)plan.RowCount * (plan.Length - start) * config.ModelWidth * model.ElementSize;
        return (int)Math.Clamp(options.BatchBudget / 2 / bytes, 1, CellsPerPass());
    }

    private HashSet<int> ReadTimes() => [.. patch.Receivers.SelectMany(r => r).Select(r => r.ReadAt(config))];

    private void Change(int[] senders)
    {
        Forget();
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var walk = new SenderChanges(model, patch, baseRun!, point => sourceRun![point.Name], start, Mask(patch.SenderPositions)?.unsqueeze(1));
        foreach (var (time, change) in walk.At([.. senders.Select(s => patch.Senders[s])], ReadTimes())) changes[time] = change.DetachFromDisposeScope();
    }

    private void Forget()
    {
        foreach (var change in changes.Values) change.Dispose();
        changes.Clear();
    }

    /// <param name="bySender">Where a set of senders stands in what is changed.</param>
    private void Pass((int Sender, int Receiver, int Layer)[] chunk, Dictionary<int, int> bySender)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var known = new Dictionary<(int, Receiver), Tensor>();
        Tensor Input(int sender, Receiver receiver)
        {
            if (known.TryGetValue((sender, receiver), out var input)) return input;
            var change = changes[receiver.ReadAt(config)].select(0, bySender[sender]);
            return known[(sender, receiver)] = From(receiver.Stream(config)).Plus(change);
        }
        var final = chunk[0].Layer == config.LayerCount
            ? cat([.. chunk.Select(c => HeldFinal(Input(c.Sender, Receiver.Logits)))], 0)
            : Run(chunk[0].Layer, [.. chunk.Select(c => patch.Receivers[c.Receiver].Select(r => (r, Input(c.Sender, r))).ToList())]);
        var values = new MetricReader(model, plan).Read(final, start, baseRun!.Final, patch.FreezeNorms
            && chunk[0].Layer == config.LayerCount);
        for (var i = 0; i < chunk.Length; i++)
            Set(chunk[i].Sender, chunk[i].Receiver, values.AsSpan(i * plan.RowCount, plan.RowCount));
    }

    // The layers from the first receivers' on: [cells · rows, pos - start, d_model].
    private Tensor Run(int layer, IReadOnlyList<IReadOnlyList<(Receiver, Tensor)>> inputs)
    {
        var layout = new TailLayout(config, baseRun!, inputs.Count, start);
        var held = patch.ReceiverPositions.IsAll
            ? Ops.Range(plan.Length - start, model.Device)
            : tensor(patch.ReceiverPositions.Resolve(plan.Length, "position").Where(p => p >= start).Select(p =>
                (long)(p - start)).ToArray(), device: model.Device);
        var positions = baseRun!.Positions.narrow(1, start, plan.Length - start);
        var hooks = new ReceiverHooks(model, inputs, r => From(r.Stream(config)), held, positions, patch.FreezeNorms);
        var stream = From(new HookPoint(HookSite.ResidPre, layer)).repeat([inputs.Count, 1, 1]);
        return new ForwardPass(model, ModelFlags.None, hooks, layout).Blocks(stream, layer, config.LayerCount);
    }

    // Where logits do not read the changed stream they read the base run's.
    private Tensor HeldFinal(Tensor input) => Mask(patch.ReceiverPositions) is { } mask
        ? From(baseRun!.Final).Plus((input - From(baseRun.Final)) * mask.unsqueeze(1))
        : input;

    private Tensor? Mask(Positions positions)
    {
        if (positions.IsAll) return null;
        var mask = zeros([plan.Length], model.DataType, model.Device);
        mask.index_fill_(0, tensor(positions.Resolve(plan.Length, "position").Select(p => (long)p).ToArray(), device: model.Device),
            Scalars.One);
        return mask.narrow(0, start, plan.Length - start);
    }

    private Tensor From(HookPoint point) => From(baseRun![point]);

    private Tensor From(Tensor whole) => whole.narrow(1, start, plan.Length - start);

    private void Set(int sender, int receiver, ReadOnlySpan<double> values)
    {
        for (var row = 0; row < values.Length; row++) perRow[sender, receiver, row] = values[row];
        done++;
    }

    public void Dispose()
    {
        steps.Dispose();
        Forget();
        source.Dispose();
        sourceRun?.Dispose();
        baseRun?.Dispose();
    }
}
