using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Cli.Tests;

public class ConvertCommandTests
{
    [Fact]
    public void A_converted_model_computes_the_same()
    {
        using var folder = new TemporaryFolder();
        var family = SharedFolder.Path("fixtures", "families", "gpt2");
        Assert.Equal(0, Interp.Run("convert", family, folder.File("out")).ExitCode);
        using var theirs = HookedTransformer.FromPretrainedNoProcessing(family);
        using var ours = HookedTransformer.FromPretrainedNoProcessing(folder.File("out"));
        Row[] rows = [new([1, 2, 3, 4, 5])];
        using var expected = theirs.RunWithCache(rows, "hook_embed");
        using var actual = ours.RunWithCache(rows, "hook_embed");
        using var scope = NewDisposeScope();
        Assert.Equal(0, Golden.Distance(actual.Logits!, expected.Logits!));
    }

    [Fact]
    public void Its_tokenizer_comes_along_and_nothing_is_replaced_unasked()
    {
        using var folder = new TemporaryFolder();
        var r = Interp.Run("convert", "induction", folder.File("out"), "--process", "--json");
        Assert.Equal(0, r.ExitCode);
        Assert.Contains("tokenizer.json", r.Json.GetProperty("tokenizer").EnumerateArray().Select(f => f.GetString()));
        using (var model = HookedTransformer.FromPretrained(folder.File("out")))
            Assert.Equal(["<bos>", "a", "b"], model.Tokenizer.ToStrTokens("ab"));

        var again = Interp.Run("convert", "induction", folder.File("out"));
        Assert.Equal(2, again.ExitCode);
        Assert.Contains("--force", again.Error);
        Assert.Equal(0, Interp.Run("convert", "induction", folder.File("out"), "--force").ExitCode);
    }

    [Fact]
    public void Where_nothing_may_be_written_it_says_so()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("file"), "");
        var r = Interp.Run("convert", "induction", folder.File("file/below.safetensors"));
        Assert.Equal(4, r.ExitCode);
        Assert.Contains("cannot be written", r.Error);
    }
}
