using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>The metric that is not the engine's: what is to be asked about, cell by cell, and what the function is known to read.</summary>
internal sealed class SweepInquiry : IDisposable
{
    private readonly Queue<Pending> pending = new();

    // Of the base run, [rows, pos, vocabulary].
    private Tensor? baseLogits;

    // The same, NaN everywhere but at the last position, which is the cell's in turn.
    private Tensor? canvas;
    private Tensor? shown;

    /// <param name="Logits">Owned; null: those of the base run.</param>
    private sealed record Pending(Tensor? Logits, bool IsProbe, Action<double> Answered);

    /// <summary>Whether the function was found to read nothing but the last position.</summary>
    public bool ReadsLastOnly { get; private set; }

    /// <summary>About the base run, and then about what of it is read.</summary>
    /// <param name="logits">[rows, pos, vocabulary].</param>
    /// <param name="isRectangular">Rows are as long as each other, so that the last position is the last of each.</param>
    public void AskBase(Tensor logits, bool isRectangular, Action<double> answered)
    {
        baseLogits = logits.DetachFromDisposeScope();
        pending.Enqueue(new Pending(null, false, value =>
        {
            answered(value);
            if (isRectangular) pending.Enqueue(new Pending(null, true, probe => ReadsLastOnly = probe == value));
        }));
    }

    /// <summary>About cells of a pass.</summary>
    /// <param name="logits">[cells · rows, pos or 1, vocabulary].</param>
    public void Ask(IReadOnlyList<SweepCell> cells, Tensor logits, int rows, Action<SweepCell, double> answered)
    {
        for (var i = 0; i < cells.Count; i++)
        {
            var cell = cells[i];
            // A function may write into what it is given.
            pending.Enqueue(new Pending(logits.narrow(0, (long)i * rows, rows).clone().DetachFromDisposeScope(), false, value => answered(cell, value)));
        }
    }

    /// <summary>About a cell that changes nothing.</summary>
    public void AskUnchanged(Action<double> answered) => pending.Enqueue(new Pending(null, false, answered));

    /// <summary>The next question; the tensors of the one before go.</summary>
    public SweepQuestion? Next()
    {
        shown?.Dispose();
        shown = null;
        if (!pending.TryDequeue(out var next)) return null;
        using var scope = NewDisposeScope();
        var positions = (int)baseLogits!.size(1);
        var last = next.IsProbe || ReadsLastOnly;
        shown = (next.Logits ?? (last ? baseLogits.narrow(1, positions - 1, 1) : baseLogits).clone()).DetachFromDisposeScope();
        var logits = shown;
        return new SweepQuestion(logits, positions, next.IsProbe, () => last ? OnCanvas(logits) : logits, next.Answered);
    }

    private Tensor OnCanvas(Tensor last)
    {
        using var scope = NewDisposeScope();
        canvas ??= Ops.Full(baseLogits!.shape, double.NaN, last.dtype, last.device).DetachFromDisposeScope();
        canvas.narrow(1, canvas.size(1) - 1, 1).copy_(last);
        return canvas;
    }

    public void Dispose()
    {
        foreach (var next in pending) next.Logits?.Dispose();
        shown?.Dispose();
        baseLogits?.Dispose();
        canvas?.Dispose();
    }
}
