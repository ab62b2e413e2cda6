using System.Text.RegularExpressions;

namespace InteropInterp.Hooks;

/// <summary>A name filter: hook point names with <c>*</c> for any run of characters, as in <c>blocks.*.attn.hook_pattern</c>.</summary>
public sealed class HookPattern(string pattern)
{
    private readonly Regex regex = new(
        "^" + Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal) + "$",
        RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);

    public static bool IsPattern(string name) => name.Contains('*', StringComparison.Ordinal);

    public bool Matches(string name) => regex.IsMatch(name);
}
