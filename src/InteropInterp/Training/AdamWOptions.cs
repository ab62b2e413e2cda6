namespace InteropInterp.Training;

/// <summary>What <see cref="AdamW"/> does besides following a learning rate. Without weight decay it is Adam.</summary>
public sealed record AdamWOptions
{
    /// <summary>How much of the running mean of gradients stays per step.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>How much of the running mean of squared gradients stays per step.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>What a weight loses per step, as a share of itself and of the learning rate; apart from the gradient.</summary>
    public double WeightDecay { get; init; }

    public double Epsilon { get; init; } = 1e-8;

    /// <exception cref="InterpException">INVALID_OPTION.</exception>
    public void Check()
    {
        InterpException.Require(Beta1 is >= 0 and < 1, "INVALID_OPTION", $"beta1 is {Beta1}; it must be at least 0 and below 1.");
        InterpException.Require(Beta2 is >= 0 and < 1, "INVALID_OPTION", $"beta2 is {Beta2}; it must be at least 0 and below 1.");
        InterpException.Require(WeightDecay >= 0, "INVALID_OPTION", $"The weight decay is {WeightDecay}; it must not be below 0.");
        InterpException.Require(Epsilon > 0, "INVALID_OPTION", $"epsilon is {Epsilon}; it must be above 0.");
    }
}
