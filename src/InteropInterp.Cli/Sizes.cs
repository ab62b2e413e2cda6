using System.Globalization;

namespace InteropInterp.Cli;

/// <summary>Sizes as people write them: 4096, 512M, 8G; a unit is 1,024 of the one before.</summary>
internal static class Sizes
{
    private const string Units = "KMGT";

    /// <summary>Bytes; null where nothing is given.</summary>
    /// <exception cref="InterpException">INVALID_OPTION.</exception>
    public static long? Parse(string option, string? text)
    {
        if (text is null) return null;
        var unit = text.Length == 0 ? -1 : Units.IndexOf(char.ToUpperInvariant(text[^1]), StringComparison.Ordinal);
        var digits = unit < 0 ? text : text[..^1];
        var scale = 1L << (10 * (unit + 1));
        return long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 && number <= long.MaxValue / scale
            ? number * scale
            : throw InterpException.Invalid("INVALID_OPTION", $"{option} is '{text}'; it must be a size such as 4096, 512M or 8G.");
    }

    /// <summary>The shortest text that means so many bytes.</summary>
    public static string Text(long bytes)
    {
        var unit = 0;
        for (; unit < Units.Length && bytes > 0 && bytes % 1024 == 0; unit++) bytes /= 1024;
        return unit == 0 ? $"{bytes}" : $"{bytes}{Units[unit - 1]}";
    }
}
