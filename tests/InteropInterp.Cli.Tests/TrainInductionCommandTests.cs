namespace InteropInterp.Cli.Tests;

public class TrainInductionCommandTests
{
    private static string[] Train(string folder, params string[] more) => ["train", "induction", "--out", folder, "--batch", "4", .. more];

    [Fact]
    public void A_run_that_is_resumed_ends_with_the_weights_of_one_that_is_not()
    {
        using var folder = new TemporaryFolder();
        var whole = Interp.Run(Train(folder.File("whole"), "--steps", "6", "--seed", "5", "--json"));
        Assert.Equal((0, ""), (whole.ExitCode, whole.Error));
        Assert.Equal("interp train induction --steps 6 --seed 5 --threads 1 --batch 4",
            whole.Json.GetProperty("card").GetProperty("command").GetString());
        Assert.Equal(0, Interp.Run(Train(folder.File("parts"), "--steps", "2", "--seed", "5")).ExitCode);

        var again = Interp.Run(Train(folder.File("parts"), "--steps", "6"));
        Assert.Equal(2, again.ExitCode);
        Assert.Contains("--resume", again.Error);
        var changed = Interp.Run("train", "induction", "--out", folder.File("parts"), "--resume", "--seed", "6");
        Assert.Equal(2, changed.ExitCode);
        Assert.Contains("--seed cannot change", changed.Error);

        Assert.Equal(0, Interp.Run("train", "induction", "--out", folder.File("parts"), "--resume", "--steps", "6").ExitCode);
        Assert.Equal(File.ReadAllBytes(folder.File("whole/tl_state_dict.safetensors")),
            File.ReadAllBytes(folder.File("parts/tl_state_dict.safetensors")));
        foreach (var file in new[] { "tl_config.json", "tokenizer.json", "card.json", "checkpoint.safetensors" })
            Assert.True(File.Exists(folder.File($"parts/{file}")), file);
    }

    [Fact]
    public void Interrupted_it_keeps_what_it_has_and_says_how_to_go_on()
    {
        using var folder = new TemporaryFolder();
        var checkpoint = folder.File("run/checkpoint.safetensors");
        var r = Interp.Start(Train(folder.File("run"), "--steps", "1000000", "--checkpoint-every", "3"), process =>
        {
            // It is training when the first checkpoint is there.
            Assert.True(SpinWait.SpinUntil(() => { Thread.Sleep(50); return File.Exists(checkpoint); }, 60_000), "no checkpoint");
            Interp.Interrupt(process);
        })();
        Assert.Equal((130, ""), (r.ExitCode, r.Output));
        Assert.Contains("Go on with --resume", r.Error);
        Assert.False(File.Exists(folder.File("run/tl_state_dict.safetensors")));
    }

    [Fact]
    public void Without_a_checkpoint_there_is_nothing_to_resume()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(3, Interp.Run("train", "induction", "--resume", "--out", folder.File("absent")).ExitCode);
    }
}
