namespace InteropInterp.Cli.Tests;

public class CircuitIoiCommandTests
{
    [Fact]
    public void What_cannot_be_found_is_refused_with_the_code_of_its_reason()
    {
        using var folder = new TemporaryFolder();
        void Refused(int code, string message, params string[] arguments)
        {
            var r = Interp.Run(["circuit", "ioi", "--out", folder.File("p.html"), .. arguments]);
            Assert.Equal((code, ""), (r.ExitCode, r.Output));
            Assert.Contains(message, r.Error);
            Assert.False(File.Exists(folder.File("p.html")));
        }

        Refused(2, "--model");
        Refused(2, "many", "--model", "induction", "--prompts", "many");
        Refused(2, "6 prompts: a multiple of 4", "--model", "induction", "--prompts", "6");
        Refused(2, "recovered share is 2", "--model", "induction", "--recovered", "2");
        Refused(3, "absent", "--model", folder.File("absent"));
        // Its tokenizer has characters, and no names.
        Refused(4, "names as single tokens", "--model", "induction");
    }

    [Fact]
    public void A_circuit_without_a_behaviour_is_a_wrong_command_line()
    {
        var r = Interp.Run("circuit", "oio");
        Assert.Equal(2, r.ExitCode);
        Assert.Contains("ioi", r.Error);
    }
}
