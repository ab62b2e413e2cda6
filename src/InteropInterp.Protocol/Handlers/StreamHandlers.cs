using System.Diagnostics;
using InteropInterp.Native.Devices;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.V1;
using InteropInterp.Streams;
using InteropInterp.Streams.Sources;

namespace InteropInterp.Protocol.Handlers;

/// <summary>Streams: held between calls, each of which runs them for a while.</summary>
public sealed class StreamHandlers(Workspace workspace)
{
    // A call comes back often enough to be told of.
    private const double LongestCall = 60;

    public async ValueTask<StartStreamResponse> StartStream(StartStreamRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        if (request.Plan is null) throw Fields.Missing("plan", "a stream's plan");
        var uses = new List<IDisposable>();
        ITokenSource? source = null;
        StreamExecution? execution = null;
        try
        {
            var model = context.Session.Models.Take(request.Model);
            uses.Add(model);
            var references = new StreamReferences(workspace, context);
            uses.Add(references);
            // Reading headers, hashing files and weights for a checkpoint.
            (source, execution) = await workspace.Work.Aside(() =>
            {
                var opened = StreamMapping.Source(request.Plan.Source, model.Value, workspace.Roots);
                try
                {
                    var plan = StreamMapping.ToEngine(request.Plan, opened, references, workspace.Roots);
                    uses.Add(workspace.Tensors.Reserve(context.Session, StreamRunner.Measure(model.Value.Model, plan)));
                    return (opened, StreamRunner.Start(model.Value.Model, plan, workspace.Options));
                }
                catch
                {
                    opened.Dispose();
                    throw;
                }
            }, context.Cancellation).ConfigureAwait(false);
        }
        catch
        {
            execution?.Dispose();
            source?.Dispose();
            foreach (var use in uses) use.Dispose();
            throw;
        }
        var progress = StreamMapping.ToProto(execution);
        return new StartStreamResponse { Name = context.Session.Streams.Add(new StreamHandle(execution, source, uses)), Progress = progress };
    }

    public async ValueTask<AdvanceStreamResponse> AdvanceStream(AdvanceStreamRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        var seconds = request.HasSeconds ? request.Seconds : 1;
        if (!(seconds is >= 0 and <= LongestCall))
            throw Fields.Invalid("seconds", "INVALID_SECONDS", $"A stream advances for 0 to {LongestCall} seconds at a time; got {seconds}.");
        using var stream = context.Session.Streams.Take(request.Name);
        using var entered = stream.Value.Enter();
        var steps = new StreamSteps(stream.Value.Execution, TimeSpan.FromSeconds(seconds));
        await workspace.Work.Run(stream.Value.Execution.Device, steps, context.Cancellation).ConfigureAwait(false);
        return new AdvanceStreamResponse { Progress = StreamMapping.ToProto(stream.Value.Execution) };
    }

    public async ValueTask<GetStreamResultResponse> GetStreamResult(GetStreamResultRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var stream = context.Session.Streams.Take(request.Name);
        using var entered = stream.Value.Enter();
        using var results = new ResultTensors(workspace, context, request.HasInlineLimitBytes ? request.InlineLimitBytes : null);
        // Beside what the stream holds, about as much again.
        using var room = workspace.Tensors.Reserve(context.Session, stream.Value.Execution.StateBytes);
        var execution = stream.Value.Execution;
        var response = await workspace.Work.Run(execution.Device, Stepwise.Once(() =>
        {
            var found = execution.Result();
            room.Dispose();
            try
            {
                return StreamMapping.ToProto(found, execution, tensor => results.Give(tensor));
            }
            catch
            {
                // Those that were given already are disposed twice, which does no harm.
                found.Dispose();
                throw;
            }
        }), context.Cancellation).ConfigureAwait(false);
        results.Keep();
        return response;
    }

    public async ValueTask<SaveStreamResponse> SaveStream(SaveStreamRequest request, HandlerContext context)
    {
        using var place = context.Session.BeginRun();
        using var stream = context.Session.Streams.Take(request.Name);
        using var entered = stream.Value.Enter();
        var execution = stream.Value.Execution;
        await workspace.Work.Run(execution.Device, Stepwise.Once(() =>
        {
            execution.Save();
            return true;
        }), context.Cancellation).ConfigureAwait(false);
        return new SaveStreamResponse();
    }

    public static ValueTask<CloseStreamResponse> CloseStream(CloseStreamRequest request, HandlerContext context)
    {
        context.Session.Streams.Close(request.Name);
        return new(new CloseStreamResponse());
    }

    // Batches until a time has passed. The stream is not this work's to dispose.
    private sealed class StreamSteps(StreamExecution stream, TimeSpan time) : IStepwise<bool>
    {
        private readonly Stopwatch clock = Stopwatch.StartNew();

        public bool Advance() => stream.Advance() && clock.Elapsed < time;

        public bool TakeResult() => true;

        public void Dispose()
        {
        }
    }
}
