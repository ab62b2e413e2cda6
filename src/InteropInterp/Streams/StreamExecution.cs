using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Streams.Statistics;
using static TorchSharp.torch;

namespace InteropInterp.Streams;

/// <summary>
/// A stream under way: a step is a batch, which is taken in whole or, where the step is broken off, not at all and comes again. At any
/// time between steps what has been gathered can be looked at.
/// </summary>
public sealed class StreamExecution : IStepwise<StreamResult>
{
    private readonly TransformerModel model;
    private readonly StreamPlan plan;
    private readonly IReadOnlyList<CheckedProbe> probes;
    private readonly ExecutionOptions options;
    private readonly IReadOnlyList<(CheckedProbe Probe, Accumulator Accumulator)> accumulators;
    private readonly HashSet<int> ignored;
    private readonly int batchRows;
    private IEnumerator<int[]>? reader;
    private List<int[]>? batch;
    private long rows, tokens, saved;
    private bool isDone;

    internal StreamExecution(TransformerModel model, StreamPlan plan, IReadOnlyList<CheckedProbe> probes, ExecutionOptions options)
    {
        (this.model, this.plan, this.probes, this.options) = (model, plan, probes, options);
        ignored = [.. plan.IgnoredTokens];
        batchRows = Math.Max(1, plan.BatchTokens / plan.Source.RowLength);
        using var scope = NewDisposeScope();
        accumulators = [.. probes.SelectMany(p => p.Probe.Statistics.Select(s => (p, s.Start(p.Shape))))];
    }

    public Device Device => model.Device;

    /// <summary>Whether it has come to its end.</summary>
    public bool IsDone => isDone;

    /// <summary>Bytes that its statistics hold.</summary>
    public long StateBytes => State.Sum(s => s.Value.numel() * s.Value.element_size());

    public StreamProgress Progress => new(rows, tokens, plan.Source.RowCount, plan.MaxTokens);

    /// <inheritdoc/>
    public bool Advance()
    {
        if (isDone) return false;
        batch ??= Next();
        if (batch.Count > 0) TakeIn(batch);
        var isLast = batch.Count < batchRows;
        (rows, batch) = (rows + batch.Count, null);
        isDone = isLast || tokens >= plan.MaxTokens;
        if (plan.Checkpoint is not null && (isDone || tokens - saved >= plan.CheckpointEvery)) Save();
        return !isDone;
    }

    /// <inheritdoc/>
    public StreamResult TakeResult()
    {
        if (!isDone) throw new InvalidOperationException("The stream has steps left.");
        InterpException.Require(tokens > 0, "NO_TOKENS", $"The stream has {rows} rows and no token that counts: nothing was gathered.");
        return Result();
    }

    /// <summary>What has been gathered so far; the caller owns it.</summary>
    public StreamResult Result()
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        return new StreamResult([.. probes.Select(probe => new ProbeResult(probe.Shape.Name, probe.Shape.Unit, accumulators
            .Where(a => ReferenceEquals(a.Probe, probe)).SelectMany(a => a.Accumulator.Results())
            .ToDictionary(r => r.Key, r => r.Value.cpu().contiguous().DetachFromDisposeScope())))], rows, tokens, isDone);
    }

    /// <summary>Writes the checkpoint.</summary>
    /// <exception cref="InterpException">NO_CHECKPOINT: the plan names none; FILE_NOT_WRITABLE.</exception>
    public void Save()
    {
        var path = plan.Checkpoint ?? throw InterpException.Precondition("NO_CHECKPOINT", "The stream has no checkpoint to write to.");
        StreamCheckpoint.Save(path, Identity, new StreamPlace(rows, tokens), State);
        saved = tokens;
    }

    /// <summary>Goes to where its checkpoint left off, if there is one.</summary>
    internal void Resume()
    {
        if (plan.Checkpoint is null || !File.Exists(plan.Checkpoint)) return;
        (rows, tokens) = StreamCheckpoint.Load(plan.Checkpoint, Identity, State);
        saved = tokens;
        isDone = tokens >= plan.MaxTokens;
    }

    public void Dispose()
    {
        reader?.Dispose();
        foreach (var (_, accumulator) in accumulators) accumulator.Dispose();
    }

    private string Identity => field ??= StreamCheckpoint.Identity(model, plan, probes);

    private IEnumerable<KeyValuePair<string, Tensor>> State => accumulators.SelectMany((a, i) =>
        a.Accumulator.State.Select(s => new KeyValuePair<string, Tensor>($"{i}.{s.Key}", s.Value)));

    private List<int[]> Next()
    {
        reader ??= plan.Source.Rows(rows).GetEnumerator();
        var next = new List<int[]>();
        var counted = tokens;
        try
        {
            while (next.Count < batchRows && !(counted >= plan.MaxTokens) && reader.MoveNext())
            {
                CheckTokens(reader.Current, rows + next.Count);
                next.Add(reader.Current);
                counted += new CountedTokens([reader.Current], 0, 0, plan.SkipFirst, ignored).Count;
            }
        }
        catch
        {
            // What was read of the batch comes again, and so does the error: an iterator that threw says that it has ended.
            reader.Dispose();
            reader = null;
            throw;
        }
        return next;
    }

    private void TakeIn(List<int[]> next)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var counted = new CountedTokens(next, rows, tokens, plan.SkipFirst, ignored);
        using var run = PlanRunner.Start(model, StreamChecker.Pass(model, plan, probes, Row.From(next), rows), options);
        while (run.Advance())
        {
        }
        using var result = run.TakeResult();
        // Nothing below is broken off: statistics all know the same tokens.
        foreach (var probe in probes)
        {
            var values = Values(result[probe.Shape.Name], probe, counted);
            if (counted.Count == 0) continue;
            foreach (var (_, accumulator) in accumulators.Where(a => ReferenceEquals(a.Probe, probe)))
            {
                using var inner = NewDisposeScope();
                accumulator.Add(values, counted);
            }
        }
        tokens += counted.Count;
    }

    private static Tensor Values(Tensor captured, CheckedProbe probe, CountedTokens counted)
    {
        // A dictionary may lie on another device than the model.
        var flat = captured.reshape(-1, probe.Shape.Width).to(probe.Shape.Device);
        return counted.Flat is { } places ? flat.index_select(0, tensor(places, device: flat.device)) : flat;
    }

    private void CheckTokens(int[] row, long index)
    {
        var size = model.Config.VocabularySize;
        var wrong = Array.FindIndex(row, token => (uint)token >= (uint)size);
        if (wrong >= 0)
            throw InterpException.OutOfRange("TOKEN_OUT_OF_RANGE",
                $"Row {index} of the stream, position {wrong}: token id {row[wrong]} is out of range; the vocabulary has {size} (0 to {size - 1}).");
    }
}
