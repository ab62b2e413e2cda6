using InteropInterp.Generation;
using InteropInterp.Models;

namespace InteropInterp.Tests.Models;

public class EmbeddedModelsTests
{
    [Fact]
    public void The_induction_model_loads_by_name_and_continues_text()
    {
        Assert.Equal(["induction"], EmbeddedModels.Names);
        using var model = HookedTransformer.FromPretrained("induction");
        Assert.Equal((2, 4, 49, true),
            (model.Config.LayerCount, model.Config.HeadCount, model.Config.VocabularySize, model.Config.IsShortformer));
        const string Prompt = "lazydog-jumps lazyd";
        Assert.Equal("lazydog-jumps lazydog-jumps", model.Generate(Prompt, new GenerationOptions { MaxNewTokens = 8, Sample = false }));
    }

    [Fact]
    public void Its_tokens_are_characters_behind_a_bos_and_nothing_vanishes()
    {
        using var model = HookedTransformer.FromPretrained("induction");
        Assert.Equal(["<bos>", "h", "i", " ", "4", "2", "!"], model.Tokenizer.ToStrTokens("Hi 42!"));
        Assert.Equal("<bos>a?b", model.Tokenizer.ToText(model.Tokenizer.ToTokens("a#b")));
        Assert.Equal(49, model.Tokenizer.Tokenizer.VocabularySize);
    }

    [Fact]
    public void Its_few_hundred_kilobytes_are_unpacked_once_and_repaired_where_they_were_changed()
    {
        var folder = EmbeddedModels.Find("induction")!;
        var weights = Path.Combine(folder, "tl_state_dict.safetensors");
        Assert.InRange(Directory.GetFiles(folder).Sum(f => new FileInfo(f).Length), 100_000, 400_000);
        var (written, content) = (File.GetLastWriteTimeUtc(weights), File.ReadAllBytes(weights));
        Assert.Equal(folder, EmbeddedModels.Find("induction"));
        Assert.Equal(written, File.GetLastWriteTimeUtc(weights));

        // A file of one's own: others may be reading the one that is there.
        var changed = (byte[])content.Clone();
        changed[^1] ^= 1;
        File.WriteAllBytes(weights + ".changed", changed);
        File.Move(weights + ".changed", weights, overwrite: true);
        EmbeddedModels.Find("induction");
        Assert.Equal(content, File.ReadAllBytes(weights));
    }

    [Fact]
    public void Other_names_are_not_taken_for_it()
    {
        Assert.Null(EmbeddedModels.Find("inductio"));
        Assert.Null(EmbeddedModels.Find("../induction"));
        var error = Assert.Throws<InterpException>(() => ModelFiles.Find("inductoin"));
        Assert.Contains("induction", error.Suggestions);
    }
}
