using InteropInterp.Patching.Corruptions;
using InteropInterp.Plans;

namespace InteropInterp.Patching;

/// <summary>
/// Corrupted versions of the sweep's base, which is then the clean run: each cell is patched in all of them, clean values into corrupted
/// runs, corrupted values into the clean run, or both. Every run is done once. Results begin with the axes direction and corruption.
/// </summary>
public sealed record SweepCorruptions(IReadOnlyList<Corruption> Corruptions, PatchDirections Directions = PatchDirections.Both) : SweepSource
{
    internal static IReadOnlyList<SweepAxis> Axes { get; } = [SweepAxis.Direction, SweepAxis.Corruption];

    internal IReadOnlyList<PatchDirections> Each => [.. new[] { PatchDirections.Denoising, PatchDirections.Noising }.Where(d => Directions.HasFlag(d))];

    internal IReadOnlyList<int[]> Indices => [[.. Each.Select(d => (int)d)], [.. Enumerable.Range(0, Corruptions.Count)]];

    internal int PartCount => Each.Count * Corruptions.Count;

    public override SweepSource Map(Func<Plan, Plan> change) => this with
    {
        Corruptions = [.. Corruptions.Select(c => c is CorruptRun run ? run with { Run = change(run.Run) } : c)],
    };
}
