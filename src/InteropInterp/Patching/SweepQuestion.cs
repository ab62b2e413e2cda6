using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// A cell's logits, whose metric somebody outside the engine computes: a function of the caller's, or a client far away.
/// </summary>
public sealed class SweepQuestion
{
    private readonly Func<Tensor> whole;
    private readonly Action<double> answered;

    internal SweepQuestion(Tensor logits, int positions, bool isProbe, Func<Tensor> whole, Action<double> answered)
    {
        (Logits, Positions, IsProbe, this.whole, this.answered) = (logits, positions, isProbe, whole, answered);
    }

    /// <summary>What was computed: [rows, pos, vocabulary], or [rows, 1, vocabulary] where only the last position is read. Borrowed.</summary>
    public Tensor Logits { get; }

    /// <summary>The positions that the function is to see; those that were not computed hold NaN.</summary>
    public int Positions { get; }

    /// <summary>
    /// The base run with NaN everywhere but at the last position: the same answer means that nothing else is read. A function that
    /// fails on it has looked elsewhere: NaN.
    /// </summary>
    public bool IsProbe { get; }

    public bool IsAnswered { get; private set; }

    /// <summary>[rows, pos, vocabulary], with NaN where nothing was computed; valid until the answer, and may be written to.</summary>
    public Tensor Whole() => whole();

    public void Answer(double value)
    {
        if (IsAnswered) throw new InvalidOperationException("The question has been answered.");
        IsAnswered = true;
        answered(value);
    }
}
