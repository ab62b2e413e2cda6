using System.Diagnostics;
using System.Text.RegularExpressions;

namespace InteropInterp.Cli.Tests;

/// <summary>The README's examples are the files of the examples, and those run.</summary>
public partial class ReadmeTests
{
    private static readonly string Root = Repository();
    private static readonly string Readme = File.ReadAllText(Path.Combine(Root, "README.md"));

    [Theory]
    [InlineData("csharp", "examples/FirstLook/Program.cs")]
    [InlineData("python", "python/examples/first_look.py")]
    public void An_example_of_the_readme_is_the_file_that_runs(string language, string file)
    {
        var block = Blocks().Matches(Readme).Single(m => m.Groups["language"].Value == language);
        Assert.Equal(File.ReadAllText(Path.Combine(Root, file)), block.Groups["text"].Value);
    }

    [Fact]
    public void The_csharp_example_names_the_heads_that_carry_the_answer()
    {
        using var process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "FirstLook")) { RedirectStandardOutput = true })!;
        var lines = process.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(process.WaitForExit(60_000));
        Assert.Equal(0, process.ExitCode);
        var baseline = double.Parse(Number().Match(lines[0], lines[0].LastIndexOf("5:", StringComparison.Ordinal) + 2).Value, null);
        var cells = lines[1..].SelectMany(line => Number().Matches(line[line.IndexOf(':')..])).Select(m => double.Parse(m.Value, null)).ToArray();
        Assert.Equal(8, cells.Length);
        Assert.True(baseline < -5);
        Assert.Contains(cells, c => c > baseline + 5);
        Assert.All(cells, c => Assert.InRange(c, baseline - 1, 5));
    }

    [Fact]
    public void Every_folder_that_the_readme_names_is_there()
    {
        foreach (Match named in Folders().Matches(Readme))
            Assert.True(Path.Exists(Path.Combine(Root, named.Groups["path"].Value)), $"README names {named.Groups["path"].Value}.");
    }

    private static string Repository()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "InteropInterp.sln"))) return folder.FullName;
        throw new DirectoryNotFoundException("The tests do not run below the repository.");
    }

    [GeneratedRegex("```(?<language>[a-z]+)\n(?<text>.*?)```", RegexOptions.Singleline)]
    private static partial Regex Blocks();

    [GeneratedRegex(@"-?\d+\.\d+")]
    private static partial Regex Number();

    [GeneratedRegex("^\\| `(?<path>[^`]+)`", RegexOptions.Multiline)]
    private static partial Regex Folders();
}
