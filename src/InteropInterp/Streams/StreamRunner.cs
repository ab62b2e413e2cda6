using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans.Execution;

namespace InteropInterp.Streams;

/// <summary>Checks and runs streams.</summary>
public static class StreamRunner
{
    /// <summary>
    /// Runs a stream to its end on the calling thread, which takes the device's lease and offers it between batches. Where it is
    /// cancelled, its checkpoint is written, if it has one.
    /// </summary>
    /// <param name="progress">Told after every batch.</param>
    /// <exception cref="InterpException">Whatever of it cannot run, before anything runs; CANCELLED within a batch; NO_TOKENS.</exception>
    public static StreamResult Run(
        TransformerModel model, StreamPlan plan, ExecutionOptions? options = null, Action<StreamProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        using var execution = Start(model, plan, options);
        var lease = DeviceLeases.Of(model.Device);
        try
        {
            lease.Run(() =>
            {
                var more = execution.Advance();
                progress?.Invoke(execution.Progress);
                return more;
            }, cancellation);
        }
        catch (InterpException e) when (e.Code == ErrorCode.Cancelled && plan.Checkpoint is not null)
        {
            execution.Save();
            throw;
        }
        return execution.TakeResult();
    }

    /// <summary>Checks a stream, and says how many bytes its statistics will hold.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run.</exception>
    public static long Measure(TransformerModel model, StreamPlan plan) =>
        (long)StreamChecker.Check(model, plan).Sum(p => p.Probe.Statistics.Sum(s => s.Bytes(p.Shape)));

    /// <summary>A checked stream, ready to be stepped through by threads that hold the device's lease: at its checkpoint, if there is one.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run.</exception>
    public static StreamExecution Start(TransformerModel model, StreamPlan plan, ExecutionOptions? options = null)
    {
        var execution = new StreamExecution(model, plan, StreamChecker.Check(model, plan), options ?? new ExecutionOptions());
        try
        {
            execution.Resume();
            return execution;
        }
        catch
        {
            execution.Dispose();
            throw;
        }
    }
}
