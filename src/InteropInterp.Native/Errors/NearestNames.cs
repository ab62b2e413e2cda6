namespace InteropInterp;

/// <summary>The valid names nearest to a mistaken one, by edit distance.</summary>
public static class NearestNames
{
    /// <summary>Up to <paramref name="limit"/> names, nearest first; none when nothing is close enough to be a slip.</summary>
    public static IReadOnlyList<string> Find(string name, IEnumerable<string> valid, int limit = 3)
    {
        var near = valid.Distinct()
            .Select(candidate => (Candidate: candidate, Distance: Score(name, candidate)))
            .Where(x => x.Distance <= Math.Max(2, Math.Max(name.Length, x.Candidate.Length) / 3.0))
            .OrderBy(x => x.Distance).ThenBy(x => x.Candidate, StringComparer.Ordinal)
            .Take(limit).ToList();
        // A name half as near as the best one is noise.
        return near.Where(x => x.Distance <= near[0].Distance * 2 + 1).Select(x => x.Candidate).ToList();
    }

    private static double Score(string name, string candidate)
    {
        // "resid_pre" for "blocks.0.hook_resid_pre": a part of the name is nearer than its length says.
        var distance = EditDistance(name.ToLowerInvariant(), candidate.ToLowerInvariant());
        return name.Length >= 3 && candidate.Contains(name, StringComparison.OrdinalIgnoreCase) ? Math.Min(distance, 1.5) : distance;
    }

    private static int EditDistance(string a, string b)
    {
        var previous = new int[b.Length + 1];
        var current = new int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++) previous[j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            current[0] = i;
            for (var j = 1; j <= b.Length; j++)
                current[j] = Math.Min(
                    Math.Min(previous[j], current[j - 1]) + 1,
                    previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
            (previous, current) = (current, previous);
        }
        return previous[b.Length];
    }
}
