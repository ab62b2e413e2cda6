using InteropInterp.Plans;

namespace InteropInterp.Patching.Corruptions;

/// <summary>A way to take the behaviour away from a run, so that what patching restores of it can be seen.</summary>
/// <param name="Name">What results call it.</param>
public abstract record Corruption(string Name)
{
    /// <summary>The corrupted run: as many rows, as long.</summary>
    /// <exception cref="InterpException">Where it would change nothing of some row.</exception>
    public abstract Plan Apply(Plan clean);
}

/// <summary>Another run: prompts that were written for it.</summary>
/// <param name="Run">As many rows as the clean run's, each as long.</param>
public sealed record CorruptRun(string Name, Plan Run) : Corruption(Name)
{
    public override Plan Apply(Plan clean) => Run;
}
