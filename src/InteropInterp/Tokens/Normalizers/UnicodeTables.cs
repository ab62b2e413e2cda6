using System.Globalization;

namespace InteropInterp.Tokens.Normalizers;

/// <summary>
/// Decompositions, compositions and combining classes of Unicode (UAX #15), read once from UnicodeForms.txt. .NET has them only
/// through ICU, which InvariantGlobalization switches off.
/// </summary>
internal sealed class UnicodeTables
{
    private const int HangulBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    private const int LeadCount = 19, VowelCount = 21, TrailCount = 28;

    private static readonly Lazy<UnicodeTables> Loaded = new(() => new());

    private readonly Dictionary<int, byte> classes = [];
    private readonly Dictionary<int, int[]> canonical = [];
    private readonly Dictionary<int, int[]> compatible = [];
    private readonly Dictionary<(int First, int Second), int> compositions = [];

    private UnicodeTables()
    {
        const string Name = "InteropInterp.Tokens.UnicodeForms.txt";
        using var stream = typeof(UnicodeTables).Assembly.GetManifestResourceStream(Name)
            ?? throw new InterpException(
                ErrorCode.Internal, "RESOURCE_MISSING", $"The resource {Name} is not in the assembly. Build it again.");
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
            if (!line.StartsWith('#')) Add(line.Split(';'));
    }

    public static UnicodeTables Instance => Loaded.Value;

    /// <summary>The canonical combining class; 0 for starters.</summary>
    public byte Class(int code) => classes.GetValueOrDefault(code);

    /// <summary>The full decomposition of one code point, appended; itself where it has none.</summary>
    public void Decompose(int code, bool compatibility, List<int> output)
    {
        var syllable = code - HangulBase;
        if (syllable >= 0 && syllable < LeadCount * VowelCount * TrailCount)
        {
            output.Add(LeadBase + syllable / (VowelCount * TrailCount));
            output.Add(VowelBase + syllable % (VowelCount * TrailCount) / TrailCount);
            if (syllable % TrailCount > 0) output.Add(TrailBase + syllable % TrailCount);
            return;
        }
        if (!canonical.TryGetValue(code, out var parts) && !(compatibility && compatible.TryGetValue(code, out parts)))
        {
            output.Add(code);
            return;
        }
        foreach (var part in parts!) Decompose(part, compatibility, output);
    }

    /// <summary>The primary composite of a pair, or -1.</summary>
    public int Compose(int first, int second)
    {
        var lead = first - LeadBase;
        var vowel = second - VowelBase;
        if (lead is >= 0 and < LeadCount && vowel is >= 0 and < VowelCount) return HangulBase + (lead * VowelCount + vowel) * TrailCount;
        var syllable = first - HangulBase;
        var trail = second - TrailBase;
        if (syllable >= 0 && syllable < LeadCount * VowelCount * TrailCount && syllable % TrailCount == 0 && trail is > 0 and < TrailCount)
            return first + trail;
        return compositions.GetValueOrDefault((first, second), -1);
    }

    private void Add(string[] fields)
    {
        var code = Hex(fields[0]);
        if (fields[1].Length > 0) classes[code] = byte.Parse(fields[1], CultureInfo.InvariantCulture);
        if (fields[3].Length == 0) return;
        var parts = fields[3].Split(' ').Select(Hex).ToArray();
        (fields[2] == "~" ? compatible : canonical)[code] = parts;
        if (fields[2] == "=" && parts.Length == 2) compositions[(parts[0], parts[1])] = code;
    }

    private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
