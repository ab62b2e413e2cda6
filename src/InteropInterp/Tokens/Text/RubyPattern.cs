using System.Text;

namespace InteropInterp.Tokens.Text;

/// <summary>
/// A regular expression of tokenizer.json (Oniguruma, Ruby syntax) in .NET's syntax. What cannot be said is refused, never
/// guessed. Source: doc/RE and doc/SYNTAX.md of kkos/oniguruma (ONIG_SYNTAX_RUBY).
/// </summary>
internal sealed class RubyPattern
{
    private const string AnyCharacter = "[\\s\\S]";
    private const string Word = $"[{CharacterClass.Word}]";

    private readonly PatternReader reader;
    private readonly StringBuilder output = new();
    private readonly Stack<Group> groups = new();
    private bool ignoreCase, dotAll;

    private readonly record struct Group(int Start, bool IgnoreCase, bool DotAll);

    private RubyPattern(string pattern) => reader = new(pattern);

    /// <summary>The .NET pattern, and the characters that it names one by one or in ranges.</summary>
    /// <exception cref="InterpException">REGEX_INVALID, REGEX_UNSUPPORTED.</exception>
    public static (string Pattern, IReadOnlyList<(char Low, char High)> Mentioned) Translate(string pattern)
    {
        var translator = new RubyPattern(pattern);
        translator.Run();
        return (translator.output.ToString(), translator.reader.Mentioned);
    }

    private void Run()
    {
        while (!reader.AtEnd)
        {
            // Where the atom begins that a quantifier after it repeats.
            var start = output.Length;
            switch (reader.Next())
            {
                case '(':
                    if (OpenGroup(start)) continue;
                    break;
                case ')':
                    start = CloseGroup();
                    break;
                case '|':
                    output.Append('|');
                    continue;
                case '[':
                    output.Append(CharacterClass.Translate(reader, ignoreCase));
                    break;
                case '.':
                    output.Append(dotAll ? AnyCharacter : "[^\\n]");
                    break;
                case '^':
                    output.Append("(?m:^)");
                    continue;
                case '$':
                    output.Append("(?m:$)");
                    continue;
                case '\\':
                    Escape();
                    break;
                case '*' or '+' or '?':
                    throw reader.Invalid("a quantifier has nothing to repeat");
                default:
                    reader.Position--;
                    Literal(reader.NextLiteral());
                    break;
            }
            Quantifiers(start);
        }
        if (groups.Count > 0) throw reader.Invalid("a group has no closing parenthesis");
    }

    // True: go on inside (or nothing to repeat came).
    private bool OpenGroup(int start)
    {
        if (reader.Take("?#"))
        {
            while (reader.Next() != ')') { }
            return true;
        }
        groups.Push(new(start, ignoreCase, dotAll));
        if (!reader.Take("?"))
        {
            output.Append("(?:");
            return true;
        }
        foreach (var same in (string[])[":", "=", "!", ">", "<=", "<!"])
            if (reader.Take(same))
            {
                output.Append("(?").Append(same);
                return true;
            }
        if (reader.Take("<"))
        {
            while (reader.Next() != '>') { }
            output.Append("(?:");
            return true;
        }
        return Options();
    }

    // (?i:...) for the group, (?i) at the beginning for everything.
    private bool Options()
    {
        for (var on = true; ;)
            switch (reader.Next())
            {
                case '-': on = false; break;
                case 'i': ignoreCase = on; break;
                case 'm': dotAll = on; break;
                case ':':
                    output.Append("(?:");
                    return true;
                case ')':
                    groups.Pop();
                    if (output.Length > 0) throw reader.Unsupported("an option such as (?i) that is not at its beginning");
                    return true;
                case var other:
                    throw reader.Unsupported($"the option (?{other}) (i and m are known; in Ruby syntax m means that . matches newlines)");
            }
    }

    private int CloseGroup()
    {
        if (!groups.TryPop(out var group)) throw reader.Invalid("a closing parenthesis has no group");
        (ignoreCase, dotAll) = (group.IgnoreCase, group.DotAll);
        output.Append(')');
        return group.Start;
    }

    private void Escape()
    {
        switch (reader.AtEnd ? throw reader.Invalid("it ends in a backslash") : reader.Current)
        {
            case 's' or 'S' or 'A' or 'z' or 'Z' or 'G': output.Append('\\').Append(reader.Current); break;
            case 'd': output.Append("\\p{Nd}"); break;
            case 'D': output.Append("\\P{Nd}"); break;
            case 'w': output.Append(Word); break;
            case 'W': output.Append($"[^{CharacterClass.Word}]"); break;
            case 'h': output.Append("[0-9a-fA-F]"); break;
            case 'H': output.Append("[^0-9a-fA-F]"); break;
            case 'b': output.Append($"(?:(?<={Word})(?!{Word})|(?<!{Word})(?={Word}))"); break;
            case 'B': output.Append($"(?:(?<={Word})(?={Word})|(?<!{Word})(?!{Word}))"); break;
            case 'R': output.Append("(?>\\r\\n|[\\n-\\r\\u0085\\u2028\\u2029])"); break;
            case 'p' or 'P':
                var negated = reader.Next() == 'P';
                output.Append(reader.Property(negated));
                return;
            default:
                Literal(reader.EscapedLiteral());
                return;
        }
        reader.Position++;
    }

    private void Literal(char c)
    {
        var variants = ignoreCase ? PatternReader.CaseVariants(c).ToList() : [c];
        foreach (var variant in variants) reader.Mention(variant, variant);
        var quoted = string.Concat(variants.Select(PatternReader.Quote));
        output.Append(variants.Count > 1 ? $"[{quoted}]" : quoted);
    }

    private void Quantifiers(int start)
    {
        while (!reader.AtEnd)
        {
            var counted = false;
            string repeat;
            if (reader.Current is '*' or '+' or '?') repeat = reader.Next().ToString();
            else if (reader.Current == '{' && Interval() is { } interval) (repeat, counted) = (interval, true);
            else return;
            // Ruby: ++ is possessive, {2}+ is a repeated group, {2}? an optional one.
            var possessive = !counted && reader.Take("+");
            var lazy = !possessive && (!counted || repeat.Contains(',')) && reader.Take("?");
            output.Insert(start, possessive ? "(?>" : "(?:").Append(repeat).Append(lazy ? "?)" : ")");
        }
    }

    private string? Interval()
    {
        var close = reader.Pattern.IndexOf('}', reader.Position);
        var body = close < 0 ? "" : reader.Pattern[(reader.Position + 1)..close];
        var parts = body.Split(',');
        // Not a number: the brace means itself.
        if (parts.Length > 2 || parts.All(p => p.Length == 0) || !parts.All(p => p.All(char.IsAsciiDigit))) return null;
        reader.Position = close + 1;
        return parts.Length == 1 ? $"{{{body}}}" : $"{{{(parts[0].Length == 0 ? "0" : parts[0])},{parts[1]}}}";
    }
}
