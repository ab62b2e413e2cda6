namespace InteropInterp.Training;

/// <summary>A learning rate that rises linearly, stays, and falls linearly to zero at the end; by default it just stays.</summary>
/// <param name="Peak">Where it stays.</param>
/// <param name="WarmUpSteps">Steps on the way up: the first step has Peak / WarmUpSteps.</param>
/// <param name="DecaySteps">Steps on the way down; the last step of the run has Peak / DecaySteps.</param>
public sealed record LearningRateSchedule(double Peak, int WarmUpSteps = 0, int DecaySteps = 0)
{
    /// <param name="step">From 0.</param>
    /// <param name="total">Steps of the whole run.</param>
    public double At(long step, long total)
    {
        if (step < WarmUpSteps) return Peak * (step + 1) / WarmUpSteps;
        var left = total - step;
        return left <= DecaySteps ? Peak * Math.Max(0, left) / DecaySteps : Peak;
    }
}
