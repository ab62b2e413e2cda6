namespace InteropInterp.Cli.Tests;

public class UsageTests
{
    [Fact]
    public void Help_lists_the_commands_and_what_exit_codes_mean()
    {
        var r = Interp.Run("--help");
        Assert.Equal(0, r.ExitCode);
        Assert.StartsWith("usage: interp", r.Output);
        foreach (var word in new[] { "demo", "circuit", "serve", "train", "convert", "doctor", "130 interrupted" }) Assert.Contains(word, r.Output);
        Assert.Empty(r.Error);
    }

    [Theory]
    [InlineData("", "usage: interp")]
    [InlineData("demoo", "'demoo' is not an interp command. See 'interp --help'.\n\nThe most similar command is\n\tdemo")]
    [InlineData("train inductoin",
        "'inductoin' is not an interp train command. See 'interp train --help'.\n\nThe most similar command is\n\tinduction")]
    [InlineData("demo --modell x", "--modell")]
    [InlineData("convert onlyone", "OUT")]
    [InlineData("train induction --steps many", "many")]
    public void A_wrong_command_line_is_said_on_standard_error_and_ends_with_2(string line, string message)
    {
        var r = Interp.Run(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(2, r.ExitCode);
        Assert.Empty(r.Output);
        Assert.Contains(message, r.Error);
    }
}
