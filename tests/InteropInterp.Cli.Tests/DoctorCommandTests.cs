using InteropInterp.Models;
using TorchSharp;

namespace InteropInterp.Cli.Tests;

public class DoctorCommandTests
{
    [Fact]
    public void It_says_which_libtorch_computes_and_where()
    {
        var r = Interp.Run("doctor", "--json");
        Assert.Equal(0, r.ExitCode);
        var engine = r.Json.GetProperty("engine");
        Assert.StartsWith("2.", engine.GetProperty("libtorch").GetString());
        Assert.Equal("passed", engine.GetProperty("self-test").GetString());
        Assert.StartsWith("cpu", engine.GetProperty("devices").GetString());
        Assert.Contains("induction", engine.GetProperty("models").GetString());
    }

    [Fact]
    public void Weights_that_are_no_numbers_load_and_are_named()
    {
        using var folder = new TemporaryFolder();
        var config = new TransformerConfig { LayerCount = 2, ModelWidth = 8, HeadWidth = 4, ContextLength = 8,
            VocabularySize = 10, AttentionOnly = true };
        using (var model = HookedTransformer.FromConfig(config))
        {
            using (torch.NewDisposeScope())
            using (var nan = float.NaN.ToScalar()) model.Weights["blocks.1.attn.W_O"][0, 1].fill_(nan);
            model.Save(folder.Path);
        }
        var json = Interp.Run("doctor", folder.Path, "--json");
        Assert.Equal(0, json.ExitCode);
        var broken = Assert.Single(json.Json.GetProperty("model").GetProperty("broken").EnumerateArray());
        Assert.Equal(("blocks.1.attn.W_O", 8), (broken.GetProperty("name").GetString(), broken.GetProperty("not_a_number").GetInt64()));
        Assert.Contains("8 NaN", Interp.Run("doctor", folder.Path).Output);
    }

    [Fact]
    public void Errors_against_golden_numbers_are_a_table()
    {
        using var folder = new TemporaryFolder();
        foreach (var family in new[] { "gpt2", "llama" })
            Directory.CreateSymbolicLink(folder.File(family), SharedFolder.Path("fixtures", "families", family));
        var r = Interp.Run("doctor", "--models", folder.Path, "--json");
        Assert.Equal(0, r.ExitCode);
        var families = r.Json.GetProperty("families").EnumerateArray().ToList();
        Assert.Equal(["gpt2", "llama"], families.Select(f => f.GetProperty("family").GetString()));
        Assert.All(families, f => Assert.InRange(f.GetProperty("error").GetDouble(), 0, 1e-4));
        Assert.All(families, f => Assert.Equal("ok", f.GetProperty("status").GetString()));
        Assert.Equal(3, Interp.Run("doctor", "--models", folder.File("absent")).ExitCode);
    }
}
