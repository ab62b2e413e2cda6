using System.Globalization;
using InteropInterp.Tensors;

namespace InteropInterp.Tokens.Text;

/// <summary>A cursor over a regular expression in Oniguruma's Ruby syntax: what patterns and their classes share.</summary>
internal sealed class PatternReader(string pattern)
{
    private static readonly string[] Categories =
    [
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
        "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Cs", "Co", "Cn",
    ];

    private static readonly Dictionary<string, string> LongNames = new(StringComparer.OrdinalIgnoreCase)
    {
        ["Letter"] = "L", ["Mark"] = "M", ["Number"] = "N", ["Punctuation"] = "P", ["Punct"] = "P", ["Symbol"] = "S", ["Separator"] = "Z",
        ["Other"] = "C", ["Digit"] = "Nd", ["Upper"] = "Lu", ["Lower"] = "Ll",
    };

    private readonly List<(char Low, char High)> mentioned = [];

    public string Pattern { get; } = pattern;
    public int Position { get; set; }
    public bool AtEnd => Position >= Pattern.Length;
    public char Current => Pattern[Position];

    /// <summary>The characters that the pattern names one by one or in ranges.</summary>
    public IReadOnlyList<(char Low, char High)> Mentioned => mentioned;

    public bool Take(string text)
    {
        if (string.CompareOrdinal(Pattern, Position, text, 0, text.Length) != 0) return false;
        Position += text.Length;
        return true;
    }

    public char Next() => AtEnd ? throw Invalid("it ends in the middle") : Pattern[Position++];

    /// <summary>The next literal character.</summary>
    public char NextLiteral()
    {
        var c = Next();
        return char.IsSurrogate(c) ? throw Unsupported("a character beyond U+FFFF") : c;
    }

    /// <summary>After a backslash: the character that an escape such as \n, \x41, \x{41}, \u0041 or \. stands for.</summary>
    public char EscapedLiteral()
    {
        var c = NextLiteral();
        switch (c)
        {
            case 'n': return '\n';
            case 't': return '\t';
            case 'r': return '\r';
            case 'f': return '\f';
            case 'v': return '\v';
            case 'a': return '\a';
            case 'e': return '\e';
            case 'u': return Hex(4, 4);
            case 'x' when Take("{"):
                var value = Hex(1, 8);
                if (!Take("}")) throw Invalid("\\x{ has no closing brace");
                return value;
            case 'x': return Hex(1, 2);
            case >= '0' and <= '9': throw Unsupported($"\\{c} (a back reference or an octal number)");
            default: return char.IsAsciiLetter(c) ? throw Unsupported($"\\{c}") : c;
        }
    }

    /// <summary>After \p or \P: the same property in .NET's syntax.</summary>
    public string Property(bool negated)
    {
        var close = Pattern.IndexOf('}', Position);
        if (!Take("{") || close < 0) throw Invalid("\\p has no {name}");
        if (Take("^")) negated = !negated;
        var name = Pattern[Position..close];
        Position = close + 1;
        var category = Categories.FirstOrDefault(c => c.Equals(name, StringComparison.OrdinalIgnoreCase))
            ?? LongNames.GetValueOrDefault(name);
        if (category is null) throw Unsupported($"\\p{{{name}}} (known are the general categories {string.Join(", ", Categories)})");
        return $"\\{(negated ? 'P' : 'p')}{{{category}}}";
    }

    public void Mention(char low, char high) => mentioned.Add((low, high));

    /// <summary>A character that means itself, in a class and outside.</summary>
    public static string Quote(char c) => char.IsAsciiLetterOrDigit(c) ? c.ToString() : $"\\u{(int)c:X4}";

    /// <summary>Upper and lower case, and the two letters whose case folding leaves ASCII (long s, Kelvin sign).</summary>
    public static IEnumerable<char> CaseVariants(char c)
    {
        yield return c;
        var lower = char.ToLowerInvariant(c);
        var upper = char.ToUpperInvariant(c);
        if (lower != c) yield return lower;
        if (upper != c && upper != lower) yield return upper;
        if (lower == 's' && c != '\u017F') yield return '\u017F';
        if (lower == 'k' && c != '\u212A') yield return '\u212A';
    }

    public InterpException Invalid(string what) =>
        InterpException.DataLoss("REGEX_INVALID", $"The regular expression {Quoted.Name(Pattern)}: {what}.");

    public InterpException Unsupported(string what) => new(ErrorCode.Unimplemented, "REGEX_UNSUPPORTED",
        $"The regular expression {Quoted.Name(Pattern)} uses {what}, which the tokenizer's reader does not translate.");

    private char Hex(int least, int most)
    {
        var start = Position;
        while (!AtEnd && Position - start < most && char.IsAsciiHexDigit(Current)) Position++;
        if (Position - start < least) throw Invalid("a hexadecimal escape has too few digits");
        var value = uint.Parse(Pattern.AsSpan(start, Position - start), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        return value > char.MaxValue || char.IsSurrogate((char)value) ? throw Unsupported("a character beyond U+FFFF") : (char)value;
    }
}
