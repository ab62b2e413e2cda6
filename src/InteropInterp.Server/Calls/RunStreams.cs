using System.Threading.Channels;
using Grpc.Core;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.Methods;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Server.Calls;

/// <summary>Calls that tell how far they have come, and sweeps that ask the client.</summary>
internal sealed class RunStreams(MethodTable methods, CallGate gate)
{
    private readonly RunHandlers runs = methods.Runs;

    public Task StreamPlan(RunPlanRequest request, IServerStreamWriter<StreamPlanResponse> writer, ServerCallContext call) => gate.Run(call, context =>
    {
        UnknownFields.Refuse(request);
        return Stream(writer, context,
            (done, total) => new StreamPlanResponse { Progress = new Progress { Done = done, Total = total } },
            (row, tokens) => new StreamPlanResponse { NewTokens = new NewTokens { FirstRow = row, Tokens = { tokens } } },
            _ => null,
            async observed => new StreamPlanResponse { Result = await runs.RunPlan(request, observed) });
    });

    public Task StreamSweep(RunSweepRequest request, IServerStreamWriter<StreamSweepResponse> writer, ServerCallContext call) => gate.Run(call, context =>
    {
        UnknownFields.Refuse(request);
        return Stream(writer, context,
            (done, total) => new StreamSweepResponse { Progress = new Progress { Done = done, Total = total } },
            (_, _) => null,
            portion => new StreamSweepResponse { Portion = portion },
            async observed => new StreamSweepResponse { Result = await runs.RunSweep(request, observed) });
    });

    public Task FollowCall(FollowCallRequest request, IServerStreamWriter<FollowCallResponse> writer, ServerCallContext call) => gate.Run(call, context =>
    {
        UnknownFields.Refuse(request);
        if (request.ProgressCallback != 0)
            throw Fields.Invalid("progress_callback", "CALLBACK_NOT_HERE", "Progress is told to functions in process only; here it comes as messages of this stream.");
        var method = methods.Find(request.Method);
        return Stream(writer, context,
            (done, total) => new FollowCallResponse { Progress = new Progress { Done = done, Total = total } },
            (_, _) => null,
            _ => null,
            async observed => new FollowCallResponse { Response = await method.InvokeAsync(request.Request, observed) });
    });

    public Task CallbackSweep(IAsyncStreamReader<CallbackSweepRequest> reader, IServerStreamWriter<CallbackSweepResponse> writer, ServerCallContext call) => gate.Run(call, async context =>
    {
        var request = (await Next(reader, context)).Request ?? throw Fields.Missing("request", "the sweep, in the first message,");
        var latest = new LatestProgress();
        async ValueTask Tell()
        {
            if (latest.TakePortion() is { } portion) await writer.WriteAsync(new CallbackSweepResponse { Portion = portion }, context.Cancellation);
            if (latest.Take() is { } progress) await writer.WriteAsync(new CallbackSweepResponse { Progress = progress }, context.Cancellation);
        }
        var result = await runs.RunSweep(request, context with { Observer = latest }, async question =>
        {
            await Tell();
            await writer.WriteAsync(new CallbackSweepResponse { Question = question }, context.Cancellation);
            return ((await Next(reader, context)).Reply ?? throw Fields.Missing("reply", "the answer to the question")).Value;
        });
        await Tell();
        await writer.WriteAsync(new CallbackSweepResponse { Result = result }, context.Cancellation);
        return true;
    });

    private static async Task<CallbackSweepRequest> Next(IAsyncStreamReader<CallbackSweepRequest> reader, HandlerContext context)
    {
        var message = await reader.Next(context.Cancellation)
            ?? throw InterpException.Invalid("REPLY_MISSING", "The client ended its side of the call before the sweep was over: one reply to each question is expected.");
        UnknownFields.Refuse(message);
        return message;
    }

    // The run goes on while what it tells is on its way; it is over, in any case, when this is.
    private static async ValueTask<bool> Stream<T>(
        IServerStreamWriter<T> writer, HandlerContext context, Func<long, long, T> progress, Func<int, IReadOnlyList<int>, T?> tokens,
        Func<SweepPortion, T?> portion, Func<HandlerContext, Task<T>> run)
        where T : class
    {
        var events = Channel.CreateUnbounded<T>(new UnboundedChannelOptions { SingleReader = true });
        using var given = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
        async Task<T> Run()
        {
            try
            {
                return await run(context with { Cancellation = given.Token, Observer = new Events<T>(events.Writer, progress, tokens, portion) });
            }
            finally
            {
                events.Writer.Complete();
            }
        }
        var running = Run();
        try
        {
            await foreach (var told in events.Reader.ReadAllAsync(context.Cancellation)) await writer.WriteAsync(told, context.Cancellation);
        }
        catch
        {
            await given.CancelAsync();
            await running.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            throw;
        }
        await writer.WriteAsync(await running, context.Cancellation);
        return true;
    }

    private sealed class Events<T>(ChannelWriter<T> events, Func<long, long, T> progress, Func<int, IReadOnlyList<int>, T?> tokens, Func<SweepPortion, T?> portion) : IRunObserver
        where T : class
    {
        public void Progress(long done, long total) => events.TryWrite(progress(done, total));

        public void NewTokens(int firstRow, IReadOnlyList<int> given)
        {
            if (tokens(firstRow, given) is { } told) events.TryWrite(told);
        }

        public void Portion(SweepPortion given)
        {
            if (portion(given) is { } told) events.TryWrite(told);
        }
    }

    private sealed class LatestProgress : IRunObserver
    {
        private Progress? latest;
        private SweepPortion? portion;

        public void Progress(long done, long total) => latest = new Progress { Done = done, Total = total };

        public void NewTokens(int firstRow, IReadOnlyList<int> tokens)
        {
        }

        // Told between questions, one at a time: nothing is overwritten.
        public void Portion(SweepPortion given) => portion = given;

        public SweepPortion? TakePortion() => Interlocked.Exchange(ref portion, null);

        public Progress? Take() => Interlocked.Exchange(ref latest, null);
    }
}
