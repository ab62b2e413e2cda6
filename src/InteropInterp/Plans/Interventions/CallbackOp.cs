using InteropInterp.Hooks;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>
/// The user's own function. It is given the whole activation of the plan's rows, in order, in memory that nothing else reads
/// before it returns; it may write into it, or return a replacement of the same shape, and it may call the engine.
/// </summary>
public sealed record CallbackOp(Func<Tensor, CallbackContext, Tensor?> Function) : InterventionOp
{
    public override string Name => "callback";

    public override Tensor Apply(Tensor region, OpInput input) =>
        throw new InvalidOperationException("A callback is given the activation itself, not a region of it.");
}

/// <param name="Point">Where it was called.</param>
/// <param name="Step">The decode step; 0 is the prompt.</param>
public sealed record CallbackContext(HookPoint Point, int Step)
{
    public string Name => Point.Name;

    /// <summary>-1 outside the blocks.</summary>
    public int Layer => Point.Layer;
}
