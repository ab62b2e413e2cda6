namespace InteropInterp.Plans;

/// <summary>Which run is changed, and from which the values come.</summary>
[Flags]
public enum PatchDirections
{
    /// <summary>The clean run's values in the corrupted run.</summary>
    Denoising = 1,

    /// <summary>The corrupted run's values in the clean run.</summary>
    Noising = 2,
    Both = Denoising | Noising,
}
