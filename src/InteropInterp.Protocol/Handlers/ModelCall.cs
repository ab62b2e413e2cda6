using InteropInterp.Models;
using InteropInterp.Native.Devices;

namespace InteropInterp.Protocol.Handlers;

/// <summary>
/// One call that computes with a model: a place among the client's runs, a share in the model, what the request refers to, and
/// what the response gives. All of it goes with the call; the tensors of a response stay once the work has come to its end.
/// </summary>
internal sealed class ModelCall : IDisposable
{
    private readonly Workspace workspace;
    private readonly HandlerContext context;
    private readonly Stack<IDisposable> held = new();

    /// <exception cref="InterpException">TOO_MANY_RUNS, SESSION_ENDED, UNKNOWN_MODEL.</exception>
    public ModelCall(Workspace workspace, HandlerContext context, string model, long? inlineLimit = null)
    {
        (this.workspace, this.context) = (workspace, context);
        held.Push(context.Session.BeginRun());
        try
        {
            var taken = context.Session.Models.Take(model);
            held.Push(taken);
            Model = taken.Value.Model;
            held.Push(References = new RequestReferences(workspace, context));
            held.Push(Results = new ResultTensors(workspace, context, inlineLimit));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public TransformerModel Model { get; }
    public RequestReferences References { get; }
    public ResultTensors Results { get; }

    /// <summary>Does the work on the model's device; whoever follows the call hears how far it has come.</summary>
    public async ValueTask<TResponse> Run<TResponse>(IStepwise<TResponse> work)
    {
        if (context.Observer is { } observer) work = new ObservedWork<TResponse>(work, observer);
        var response = await workspace.Work.Run(Model.Device, work, context.Cancellation).ConfigureAwait(false);
        Results.Keep();
        return response;
    }

    /// <summary>Work of one step.</summary>
    public ValueTask<TResponse> Run<TResponse>(Func<TResponse> step) => Run(Stepwise.Once(step));

    public void Dispose()
    {
        while (held.TryPop(out var one)) one.Dispose();
    }
}
