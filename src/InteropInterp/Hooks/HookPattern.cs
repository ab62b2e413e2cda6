namespace InteropInterp.Hooks;

/// <summary>A name filter: hook point names with <c>*</c> for any run of characters, as in <c>blocks.*.attn.hook_pattern</c>.</summary>
public sealed class HookPattern(string pattern)
{
    private readonly string[] parts = pattern.Split('*');

    public static bool IsPattern(string name) => name.Contains('*', StringComparison.Ordinal);

    // The parts in order, each at its first place: what a later place would allow the first allows too. (A regular expression
    // that cannot backtrack takes some ten milliseconds to build.)
    public bool Matches(string name)
    {
        if (parts.Length == 1) return name == pattern;
        if (!name.StartsWith(parts[0], StringComparison.Ordinal)) return false;
        var at = parts[0].Length;
        foreach (var part in parts.AsSpan(1, parts.Length - 2))
        {
            var found = name.IndexOf(part, at, StringComparison.Ordinal);
            if (found < 0) return false;
            at = found + part.Length;
        }
        return name.Length - at >= parts[^1].Length && name.EndsWith(parts[^1], StringComparison.Ordinal);
    }
}
