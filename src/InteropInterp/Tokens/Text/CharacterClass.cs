using System.Text;

namespace InteropInterp.Tokens.Text;

/// <summary>
/// A bracketed character class in Ruby syntax, as a .NET pattern that matches one character. Ruby nests classes and intersects
/// them with &amp;&amp;; .NET does not, so what does not flatten becomes alternatives and lookaheads.
/// </summary>
internal static class CharacterClass
{
    public const string Word = "\\p{L}\\p{M}\\p{Nd}\\p{Pc}";

    private static readonly Dictionary<string, string> Posix = new()
    {
        ["alpha"] = "\\p{L}\\p{M}", ["digit"] = "\\p{Nd}", ["alnum"] = "\\p{L}\\p{M}\\p{Nd}", ["upper"] = "\\p{Lu}", ["lower"] = "\\p{Ll}",
        ["space"] = "\\s", ["punct"] = "\\p{P}", ["cntrl"] = "\\p{Cc}", ["word"] = Word, ["xdigit"] = "0-9a-fA-F", ["blank"] = "\\p{Zs}\\t",
    };

    /// <summary>Translates the class whose opening bracket was just read.</summary>
    public static string Translate(PatternReader reader, bool ignoreCase)
    {
        var (pattern, _) = Read(reader, ignoreCase);
        return pattern;
    }

    // Flat holds the members where the class is a plain positive list, so that an outer class can take them over.
    private static (string Pattern, string? Flat) Read(PatternReader reader, bool ignoreCase)
    {
        var negated = reader.Take("^");
        var members = new StringBuilder();
        var others = new List<string>();
        var intersected = new List<string>();
        for (var first = true; ; first = false)
        {
            if (reader.AtEnd) throw reader.Invalid("a character class has no closing bracket");
            if (!first && reader.Take("]")) break;
            if (reader.Take("&&"))
            {
                intersected.Add(Union(members.ToString(), others));
                members.Clear();
                others.Clear();
            }
            else if (reader.Take("[:")) AddPosix(reader, members, others);
            else if (reader.Take("["))
            {
                var (pattern, flat) = Read(reader, ignoreCase);
                if (flat is null) others.Add(pattern);
                else members.Append(flat);
            }
            else AddMember(reader, ignoreCase, members, others);
        }
        if (intersected.Count == 0 && others.Count == 0)
            return negated ? ($"[^{members}]", null) : ($"[{members}]", members.ToString());
        var union = Union(members.ToString(), others);
        var all = string.Concat(intersected.Select(set => $"(?={set})")) + union;
        return (negated ? $"(?:(?!{all})[\\s\\S])" : $"(?:{all})", null);
    }

    private static string Union(string members, List<string> others)
    {
        if (members.Length > 0) others.Insert(0, $"[{members}]");
        return others.Count == 1 ? others[0] : $"(?:{string.Join('|', others)})";
    }

    private static void AddMember(PatternReader reader, bool ignoreCase, StringBuilder members, List<string> others)
    {
        char low;
        if (reader.Take("\\"))
        {
            if (Shorthand(reader, members, others)) return;
            low = reader.Take("b") ? '\b' : reader.EscapedLiteral();
        }
        else low = reader.NextLiteral();
        var high = low;
        if (!reader.AtEnd && reader.Current == '-' && IsRange(reader))
        {
            reader.Position++;
            high = reader.Take("\\") ? reader.EscapedLiteral() : reader.NextLiteral();
            if (high < low) throw reader.Invalid($"the range {low}-{high} is empty");
        }
        Append(reader, members, low, high);
        if (!ignoreCase) return;
        for (var c = low; c <= high && (c < 0x80 || low == high); c++)
            foreach (var variant in PatternReader.CaseVariants(c)) Append(reader, members, variant, variant);
    }

    // A dash before the closing bracket, a nested class or a shorthand means itself.
    private static bool IsRange(PatternReader reader)
    {
        var rest = reader.Pattern.AsSpan(reader.Position + 1);
        if (rest.Length == 0 || rest[0] is ']' or '[') return false;
        return rest[0] != '\\' || rest.Length < 2 || !"sSdDwWhHpP".Contains(rest[1]);
    }

    private static bool Shorthand(PatternReader reader, StringBuilder members, List<string> others)
    {
        switch (reader.AtEnd ? '\0' : reader.Current)
        {
            case 's': members.Append("\\s"); break;
            case 'S': members.Append("\\S"); break;
            case 'd': members.Append("\\p{Nd}"); break;
            case 'D': members.Append("\\P{Nd}"); break;
            case 'w': members.Append(Word); break;
            case 'W': others.Add($"[^{Word}]"); break;
            case 'h': members.Append("0-9a-fA-F"); break;
            case 'H': others.Add("[^0-9a-fA-F]"); break;
            case 'p' or 'P':
                var negated = reader.Next() == 'P';
                members.Append(reader.Property(negated));
                return true;
            default: return false;
        }
        reader.Position++;
        return true;
    }

    private static void AddPosix(PatternReader reader, StringBuilder members, List<string> others)
    {
        var negated = reader.Take("^");
        var close = reader.Pattern.IndexOf(":]", reader.Position, StringComparison.Ordinal);
        var name = close < 0 ? "" : reader.Pattern[reader.Position..close];
        if (!Posix.TryGetValue(name, out var set)) throw reader.Unsupported($"the POSIX bracket [:{name}:]");
        reader.Position = close + 2;
        if (negated) others.Add($"[^{set}]");
        else members.Append(set);
    }

    private static void Append(PatternReader reader, StringBuilder members, char low, char high)
    {
        reader.Mention(low, high);
        members.Append(PatternReader.Quote(low));
        if (high > low) members.Append('-').Append(PatternReader.Quote(high));
    }
}
