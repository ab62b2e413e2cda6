namespace InteropInterp.Plans;

/// <summary>What a dry run says of a plan that would run.</summary>
/// <param name="Flops">Floating-point operations of its matrix products (a multiply-add is two), sources included.</param>
/// <param name="ResultBytes">What the result holds.</param>
/// <param name="WorkingBytes">What the largest pass needs beside weights and results.</param>
/// <param name="Batches">Passes its rows are cut into.</param>
/// <param name="Captures">Shape of each capture, by name; -1 where rows of different length decide.</param>
/// <param name="Points">Per intervention the points it fires at.</param>
public sealed record PlanReport(
    double Flops, long ResultBytes, long WorkingBytes, int Batches, IReadOnlyDictionary<string, IReadOnlyList<long>> Captures,
    IReadOnlyList<IReadOnlyList<string>> Points);
