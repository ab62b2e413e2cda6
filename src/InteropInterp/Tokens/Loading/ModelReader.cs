using InteropInterp.Tensors;
using InteropInterp.Tokens.Models;

namespace InteropInterp.Tokens.Loading;

/// <summary>The "model" of tokenizer.json.</summary>
internal static class ModelReader
{
    private static readonly string[] Types = ["BPE"];

    public static IModel Read(JsonPart part)
    {
        // Old files have no type; what has merges is BPE.
        var type = part.Text("type", part.Find("merges") is null ? "" : "BPE");
        if (type != "BPE") throw part.Unsupported("model", type, Types);
        if (part.Find("dropout") is not null)
            throw part.Invalid("it has a dropout, which makes the tokens of a text random. Set it to null.");
        var vocabulary = Vocabulary.Create(
            part.Get("vocab").Members().Select(member => KeyValuePair.Create(member.Key, member.Value.Number())), part.File);
        var options = new BpeOptions
        {
            UnknownToken = part.Find("unk_token")?.Text(),
            FuseUnknown = part.Flag("fuse_unk"),
            ByteFallback = part.Flag("byte_fallback"),
            IgnoreMerges = part.Flag("ignore_merges"),
            ContinuingSubwordPrefix = part.Text("continuing_subword_prefix", ""),
            EndOfWordSuffix = part.Text("end_of_word_suffix", ""),
        };
        var merges = MergeTable.FromPairs(part.Get("merges").Items().Select(Pair), vocabulary, options.ContinuingSubwordPrefix, part.File);
        return new Bpe(vocabulary, merges, options, part.File);
    }

    // "a b" in most files, ["a", "b"] in those whose tokens may hold spaces.
    private static (string Left, string Right) Pair(JsonPart merge)
    {
        if (merge.IsString) return Pair(merge.Text(), merge.Invalid);
        var parts = merge.Items();
        return parts.Count == 2 ? (parts[0].Text(), parts[1].Text()) : throw merge.Invalid("a merge has two parts.");
    }

    public static (string Left, string Right) Pair(string merge, Func<string, Exception> invalid)
    {
        var space = merge.IndexOf(' ');
        if (space <= 0 || space == merge.Length - 1 || merge.IndexOf(' ', space + 1) >= 0)
            throw invalid($"the merge {Quoted.Name(merge)} is not two tokens with a space between.");
        return (merge[..space], merge[(space + 1)..]);
    }
}
