namespace InteropInterp.Plans;

/// <summary>
/// Which indices of an axis: all, a list, or a slice as Python writes it. Negative ones count from the end: of a row's own
/// tokens where the axis is positions.
/// </summary>
public sealed record Positions
{
    private Positions()
    {
    }

    public static Positions All { get; } = new();

    /// <summary>The indices themselves, in this order; null for a slice or for all.</summary>
    public IReadOnlyList<int>? Indices { get; private init; }

    /// <summary>Start, stop (exclusive) and step of a slice; null for a list or for all.</summary>
    public (int? Start, int? Stop, int Step)? Range { get; private init; }

    public bool IsAll => Indices is null && Range is null;

    public static Positions At(params IReadOnlyList<int> indices) => new() { Indices = [.. indices] };

    /// <summary>start:stop:step, with Python's meaning; the step must be above 0.</summary>
    public static Positions Slice(int? start = null, int? stop = null, int step = 1)
    {
        InterpException.Require(step > 0, "INVALID_SLICE", $"The step of a slice is {step}; it must be above 0.");
        return start is null && stop is null && step == 1 ? All : new() { Range = (start, stop, step) };
    }

    /// <summary>The indices meant on an axis of a given length, all within it.</summary>
    /// <param name="what">What is indexed, for the message: "position", "head".</param>
    /// <exception cref="InterpException">POSITION_OUT_OF_RANGE and the like.</exception>
    public int[] Resolve(int length, string what)
    {
        if (IsAll) return [.. Enumerable.Range(0, length)];
        if (Range is var (first, last, step))
        {
            int Clamp(int? value, int fallback) => value is not { } v ? fallback : Math.Clamp(v < 0 ? v + length : v, 0, length);
            int start = Clamp(first, 0), stop = Clamp(last, length);
            return [.. Enumerable.Range(0, Math.Max(0, (stop - start + step - 1) / step)).Select(i => start + i * step)];
        }
        return [.. Indices!.Select(index =>
        {
            var resolved = index < 0 ? index + length : index;
            return resolved >= 0 && resolved < length
                ? resolved
                : throw InterpException.OutOfRange($"{what.ToUpperInvariant().Replace(' ', '_')}_OUT_OF_RANGE",
                    $"The {what} {index} is out of range: there are {length} (0 to {length - 1}, or -{length} to -1).");
        })];
    }

    /// <summary>The indices meant on an axis that may still be short of some: those that lie outside are left out.</summary>
    internal int[] Within(int length) => Indices is null
        ? Resolve(length, "index")
        : [.. Indices.Select(i => i < 0 ? i + length : i).Where(i => i >= 0 && i < length)];

    public bool Equals(Positions? other) => other is not null && Range == other.Range
        && (Indices is null ? other.Indices is null : other.Indices is not null && Indices.SequenceEqual(other.Indices));

    public override int GetHashCode() => HashCode.Combine(Range, Indices?.Count, Indices is { Count: > 0 } ? Indices[0] : 0);

    public override string ToString() => IsAll ? "all"
        : Range is var (start, stop, step) ? $"{start}:{stop}{(step == 1 ? "" : $":{step}")}"
        : $"[{string.Join(", ", Indices!)}]";
}
