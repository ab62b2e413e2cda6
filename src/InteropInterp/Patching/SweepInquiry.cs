using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>The metric that is not the engine's: keeps the logits of a pass, and asks about them cell by cell.</summary>
internal sealed class SweepInquiry : IDisposable
{
    private Tensor? logits;

    // [rows, pos, vocabulary], NaN where nothing is computed.
    private Tensor? canvas;
    private bool readsLastOnly;

    /// <summary>In a pass: computes the logits of its cells.</summary>
    /// <param name="residual">[cells · rows, pos, d_model].</param>
    public void Read(Tensor residual, ForwardPass pass)
    {
        logits?.Dispose();
        logits = pass.Unembed(readsLastOnly ? residual.narrow(1, residual.size(1) - 1, 1) : residual).DetachFromDisposeScope();
    }

    /// <summary>About the base run, and what the function reads of it.</summary>
    /// <param name="isRectangular">Rows are as long as each other, so that the last position is the last of each.</param>
    public IEnumerable<SweepQuestion> Baseline(bool isRectangular)
    {
        var positions = (int)logits!.size(1);
        using var whole = logits.clone().DetachFromDisposeScope();
        var question = new SweepQuestion(whole, positions, false, () => whole);
        yield return question;
        if (!isRectangular) yield break;
        using (NewDisposeScope())
        {
            canvas = Ops.Full(logits.shape, double.NaN, logits.dtype, logits.device).DetachFromDisposeScope();
            canvas.narrow(1, positions - 1, 1).copy_(logits.narrow(1, positions - 1, 1));
        }
        var probe = new SweepQuestion(canvas, positions, true, () => canvas);
        yield return probe;
        readsLastOnly = probe.Value == question.Value;
    }

    /// <summary>About each cell of the last pass.</summary>
    public IEnumerable<SweepQuestion> Cells(int count, int rows)
    {
        for (var cell = 0; cell < count; cell++)
        {
            using var own = Own(cell, rows);
            yield return new SweepQuestion(own, (int)(canvas ?? own).size(1), false, () => readsLastOnly ? OnCanvas(own) : own);
        }
    }

    private Tensor Own(int cell, int rows)
    {
        using var scope = NewDisposeScope();
        var view = logits!.narrow(0, (long)cell * rows, rows);
        // A function may write into what it is given.
        return (readsLastOnly ? view.alias() : view.clone()).DetachFromDisposeScope();
    }

    private Tensor OnCanvas(Tensor last)
    {
        using var scope = NewDisposeScope();
        canvas!.narrow(1, canvas.size(1) - 1, 1).copy_(last);
        return canvas;
    }

    public void Dispose()
    {
        logits?.Dispose();
        canvas?.Dispose();
    }
}
