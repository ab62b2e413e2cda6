using InteropInterp.Models;

namespace InteropInterp.Cli.Tests;

public class DemoCommandTests
{
    [Fact]
    public void The_demo_of_the_embedded_model_prints_json_and_writes_a_page()
    {
        using var folder = new TemporaryFolder();
        var r = Interp.Run("demo", "--json", "--out", folder.File("d.html"));
        Assert.Equal((0, ""), (r.ExitCode, r.Error));
        Assert.Equal("induction", r.Json.GetProperty("model").GetString());
        Assert.True(r.Json.GetProperty("loss").GetProperty("second").GetDouble() < 0.4);
        var patching = r.Json.GetProperty("patching");
        Assert.Equal(1, patching.GetProperty("layer").GetInt32());
        double At(string corruption, string part) => patching.GetProperty("corruptions").GetProperty(corruption)
            .GetProperty("together").GetProperty(part).GetDouble();
        var clean = patching.GetProperty("clean").GetDouble();
        Assert.True(Math.Abs(At("AB", "q") - clean) < 0.5 && At("AB", "v") < -5, "AB is restored by q");
        Assert.True(Math.Abs(At("BB", "v") - clean) < 0.5 && At("BB", "q") < -5, "BB is restored by v");
        Assert.Contains("single tokens", r.Json.GetProperty("why_no_indirect_object").GetString());
        var page = File.ReadAllText(folder.File("d.html"));
        Assert.StartsWith("<!doctype html>", page);
        Assert.EndsWith("</html>\n", page);
    }

    [Fact]
    public void Tables_are_for_people_and_say_where_the_page_is()
    {
        using var folder = new TemporaryFolder();
        var r = Interp.Run("demo", "--out", folder.File("d.html"));
        Assert.Equal(0, r.ExitCode);
        foreach (var text in new[] { "second occurrence", "previous token", "pattern", "BB 1.3", folder.File("d.html") })
            Assert.Contains(text, r.Output);
    }

    [Fact]
    public void What_cannot_be_shown_ends_with_the_code_of_its_reason()
    {
        using var folder = new TemporaryFolder();
        var absent = Interp.Run("demo", "--model", folder.File("absent"));
        Assert.Equal(3, absent.ExitCode);
        Assert.Contains("absent", absent.Error);

        var config = new TransformerConfig { LayerCount = 1, ModelWidth = 8, HeadWidth = 4, ContextLength = 32,
            VocabularySize = 30, AttentionOnly = true, AttentionDirection = "bidirectional" };
        using (var model = HookedTransformer.FromConfig(config)) model.Save(folder.File("both-ways"));
        var unfit = Interp.Run("demo", "--model", folder.File("both-ways"));
        Assert.Equal((4, ""), (unfit.ExitCode, unfit.Output));
        Assert.Contains("bidirectional", unfit.Error);

        File.WriteAllText(folder.File("broken.gguf"), "not a model");
        Assert.Equal(2, Interp.Run("demo", "--model", folder.File("broken.gguf")).ExitCode);
    }
}
