namespace InteropInterp.Plans;

/// <summary>What an op or a transform adds to a pass at each position of each row.</summary>
/// <param name="Flops">Floating-point operations (a multiply-add is two).</param>
/// <param name="Values">Numbers of the compute type that are held at once.</param>
public readonly record struct PositionCost(double Flops, long Values);
