using System.Text;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Normalizers;

/// <summary>
/// One of the four normalization forms of Unicode (UAX #15). A composed character stands for its first part only, and reordered
/// marks keep the places, not the identities, of the marks before: so Hugging Face's tokenizers count offsets.
/// </summary>
internal sealed class UnicodeForm(NormalizationForm form) : INormalizer
{
    private readonly bool composes = form is NormalizationForm.FormC or NormalizationForm.FormKC;
    private readonly bool isCompatibility = form is NormalizationForm.FormKC or NormalizationForm.FormKD;

    // How many source characters a character adds (1), replaces (0), or swallows beside the one that it replaces (-n).
    private record struct Item(int Code, byte Class, int Change);

    public AlignedText Normalize(AlignedText text)
    {
        if (IsUnchanged(text.Chars)) return text;
        var items = Decompose(text.Chars);
        if (composes) items = Compose(items);
        return Write(text, items);
    }

    // Below U+0300 nothing composes with what follows it, and below U+00C0 nothing decomposes canonically.
    private bool IsUnchanged(ReadOnlySpan<char> chars) =>
        !chars.ContainsAnyExceptInRange('\0', isCompatibility ? '\x7F' : composes ? '\u02FF' : '\u00BF');

    private List<Item> Decompose(ReadOnlySpan<char> chars)
    {
        var tables = UnicodeTables.Instance;
        var items = new List<Item>(chars.Length);
        var parts = new List<int>();
        var marks = 0;
        foreach (var rune in chars.EnumerateRunes())
        {
            parts.Clear();
            tables.Decompose(rune.Value, isCompatibility, parts);
            for (var i = 0; i < parts.Count; i++)
            {
                var item = new Item(parts[i], tables.Class(parts[i]), i == 0 ? 0 : 1);
                if (item.Class == 0)
                {
                    Order(items, marks);
                    marks = items.Count + 1;
                }
                items.Add(item);
            }
        }
        Order(items, marks);
        return items;
    }

    // Canonical ordering of the marks from..end: by class, those of one class as they came.
    private static void Order(List<Item> items, int from)
    {
        if (items.Count - from < 2) return;
        var ordered = items.Skip(from).OrderBy(item => item.Class).ToList();
        for (var i = 0; i < ordered.Count; i++) items[from + i] = ordered[i];
    }

    private static List<Item> Compose(List<Item> items)
    {
        var tables = UnicodeTables.Instance;
        var output = new List<Item>(items.Count);
        var starter = -1;
        foreach (var item in items)
        {
            var isAdjacent = starter == output.Count - 1;
            var isBlocked = !isAdjacent && output[^1].Class >= item.Class;
            if (starter >= 0 && !isBlocked && tables.Compose(output[starter].Code, item.Code) is var composed and >= 0)
            {
                output[starter] = new(composed, 0, output[starter].Change + item.Change - 1);
                continue;
            }
            if (item.Class == 0) starter = output.Count;
            output.Add(item);
        }
        return output;
    }

    private static AlignedText Write(AlignedText text, List<Item> items)
    {
        var builder = new AlignedTextBuilder(text.Length, text.HasSources);
        var position = 0;
        foreach (var item in items)
        {
            var source = item.Change <= 0 ? text.Source(position) : position > 0 ? text.Source(position - 1) : default;
            builder.Append(new Rune(item.Code), source);
            for (var consumed = item.Change; consumed <= 0; consumed++)
                position += char.IsHighSurrogate(text.Chars[position]) ? 2 : 1;
        }
        return builder.Build();
    }
}
