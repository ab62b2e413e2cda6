namespace InteropInterp.Protocol.Handlers;

/// <summary>Tells a function of the client how far a run has come.</summary>
internal sealed class CallbackObserver(long id, IClientCallbacks callbacks, bool isSweep) : IRunObserver
{
    public void Progress(long done, long total)
    {
        var progress = new V1.Progress { Done = done, Total = total };
        callbacks.Invoke(id, isSweep ? new V1.StreamSweepResponse { Progress = progress } : new V1.StreamPlanResponse { Progress = progress });
    }

    public void NewTokens(int firstRow, IReadOnlyList<int> tokens) =>
        callbacks.Invoke(id, new V1.StreamPlanResponse { NewTokens = new V1.NewTokens { FirstRow = firstRow, Tokens = { tokens } } });

    public void Portion(V1.SweepPortion portion) => callbacks.Invoke(id, new V1.StreamSweepResponse { Portion = portion });
}
