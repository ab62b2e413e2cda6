using InteropInterp.Tokens.AddedTokens;
using InteropInterp.Tokens.Decoders;
using InteropInterp.Tokens.Models;
using InteropInterp.Tokens.PostProcessors;
using InteropInterp.Tokens.PreTokenizers;

namespace InteropInterp.Tokens.Loading;

/// <summary>GPT-2's two files: the vocabulary (vocab.json, encoder.json) and the merges (merges.txt, vocab.bpe).</summary>
internal static class Gpt2Files
{
    private const string EndOfText = "<|endoftext|>";

    public static ITokenizer Read(string vocabularyFile, string mergesFile, SpecialTokenFiles special)
    {
        var vocabulary = JsonPart.Read(vocabularyFile, root => Vocabulary.Create(
            root.Members().Select(member => KeyValuePair.Create(member.Key, member.Value.Number())), vocabularyFile));
        var merges = MergeTable.FromPairs(ReadMerges(mergesFile), vocabulary, prefix: "", mergesFile);
        return Build(vocabulary, merges, special, vocabularyFile);
    }

    private static PipelineTokenizer Build(Vocabulary own, MergeTable merges, SpecialTokenFiles special, string source)
    {
        var added = new AddedTokenSet(Added(own, special), normalizer: null);
        var vocabulary = added.AddTo(own);
        // The files alone say nothing: GPT-2 ends and begins its texts with one and the same token.
        var end = vocabulary.IdOf(EndOfText);
        var found = special.Resolve(vocabulary, unknown: null, before: null);
        var tokens = found with { Bos = found.Bos ?? end, Eos = found.Eos ?? end, Unknown = found.Unknown ?? end };
        var before = special.AddsBos == true && tokens.Bos is { } bos ? [bos] : Array.Empty<int>();
        var after = special.AddsEos && tokens.Eos is { } eos ? [eos] : Array.Empty<int>();
        return new(
            new Bpe(own, merges, new(), source), vocabulary, added,
            new ByteLevel(special.AddsPrefixSpace, useRegex: true), new Template(before, after), new ByteLevelDecoder(), tokens);
    }

    private static List<AddedToken> Added(Vocabulary own, SpecialTokenFiles special)
    {
        var named = SpecialTokenFiles.Roles.Select(special.TokenOf).Prepend(EndOfText).OfType<string>()
            .Where(content => own.IdOf(content) is not null).Select(content => new AddedToken(content, own.IdOf(content)!.Value));
        return special.AddedTokens.Concat(named).DistinctBy(token => token.Content, StringComparer.Ordinal).ToList();
    }

    private static IEnumerable<(string Left, string Right)> ReadMerges(string file)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines(file);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw InterpException.NotFound("FILE_NOT_FOUND", $"There is no file '{file}'.");
        }
        for (var i = 0; i < lines.Length; i++)
        {
            // Only the first line can be the version: "# #" further down is a merge.
            if (lines[i].Length == 0 || i == 0 && lines[i].StartsWith("#version", StringComparison.Ordinal)) continue;
            var number = i + 1;
            yield return ModelReader.Pair(
                lines[i], message => InterpException.DataLoss("TOKENIZER_FILE_INVALID", $"'{file}' line {number}: {message}"));
        }
    }
}
