using System.Text.Json;
using InteropInterp.Models;
using InteropInterp.Tensors;
using InteropInterp.Training;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Training;

public class InductionTrainerTests
{
    [Fact]
    public void The_loss_falls_as_the_card_of_the_embedded_model_says()
    {
        using var card = JsonDocument.Parse(File.ReadAllText(Path.Combine(EmbeddedModels.Find("induction")!, "card.json")));
        var expected = card.RootElement.GetProperty("loss_by_step");
        using var trainer =
            new InductionTrainer(new InductionTrainerOptions { Steps = 100, Seed = card.RootElement.GetProperty("seed").GetInt64() });
        trainer.Run();
        Assert.Equal(100, trainer.Step);
        Assert.Equal(expected.GetProperty("1").GetDouble(), trainer.Losses[0], 1e-4);
        // Another number of threads sums in another order.
        Assert.Equal(expected.GetProperty("100").GetDouble(), trainer.Losses[99], 0.01);
        Assert.True(trainer.Losses[99] < trainer.Losses[0] - 0.2);
    }

    [Fact]
    public void A_resumed_run_is_bit_for_bit_the_run_that_was_not_stopped()
    {
        using var folder = new TemporaryFolder();
        var options = new InductionTrainerOptions { Steps = 8, Seed = 11, BatchSize = 8 };
        using (var whole = new InductionTrainer(options)) whole.Run(folder.File("whole"));
        using (var half = new InductionTrainer(options with { Steps = 3 })) half.Run(folder.File("half"));
        using (var rest = InductionTrainer.Resume(folder.File("half"), steps: 8)) rest.Run(folder.File("half"));
        AssertEqual(folder.File("whole"), folder.File("half"));
    }

    [Fact]
    public void A_cancelled_run_leaves_a_checkpoint_to_go_on_from()
    {
        using var folder = new TemporaryFolder();
        var options = new InductionTrainerOptions { Steps = 6, Seed = 2, BatchSize = 4 };
        using (var whole = new InductionTrainer(options)) whole.Run(folder.File("whole"));
        using (var stop = new CancellationTokenSource())
        using (var trainer = new InductionTrainer(options))
        {
            var error =
                Assert.Throws<InterpException>(() => trainer.Run(folder.File("stopped"), t => stop.CancelAfterStep(t, 2), stop.Token));
            Assert.Equal((ErrorCode.Cancelled, 2L), (error.Code, trainer.Step));
        }
        using (var rest = InductionTrainer.Resume(folder.File("stopped"))) rest.Run(folder.File("stopped"));
        AssertEqual(folder.File("whole"), folder.File("stopped"));
    }

    [Fact]
    public void Seeds_differ_and_the_same_seed_gives_the_same_weights()
    {
        using var folder = new TemporaryFolder();
        foreach (var (name, seed) in new[] { ("a", 1), ("b", 1), ("c", 2) })
        {
            using var trainer = new InductionTrainer(new InductionTrainerOptions { Steps = 2, Seed = seed, BatchSize = 4 });
            trainer.Run(folder.File(name));
        }
        AssertEqual(folder.File("a"), folder.File("b"));
        using var first = SafeTensorsFile.Open(folder.File("a"));
        using var third = SafeTensorsFile.Open(folder.File("c"));
        using var scope = NewDisposeScope();
        Assert.True(Golden.Distance(first.Read("weights.embed"), third.Read("weights.embed")) > 0.1);
    }

    [Fact]
    public void Options_and_checkpoints_that_cannot_be_are_refused()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("steps is 0",
            Assert.Throws<InterpException>(() => new InductionTrainer(new InductionTrainerOptions { Steps = 0 })).Message);
        Assert.Contains("learning rate",
            Assert.Throws<InterpException>(() => new InductionTrainer(new InductionTrainerOptions { LearningRate = -1 })).Message);
        using (var trainer = new InductionTrainer(new InductionTrainerOptions { Steps = 2, BatchSize = 1 })) trainer.Run(folder.File("c"));
        var error = Assert.Throws<InterpException>(() => InductionTrainer.Resume(folder.File("c"), steps: 1));
        Assert.Contains("2 steps", error.Message);
    }

    private static void AssertEqual(string expected, string actual)
    {
        using var first = SafeTensorsFile.Open(expected);
        using var second = SafeTensorsFile.Open(actual);
        Assert.Equal(first.Entries.Keys, second.Entries.Keys);
        Assert.Equal(first.Metadata["step"], second.Metadata["step"]);
        foreach (var name in first.Entries.Keys)
        {
            using var scope = NewDisposeScope();
            Assert.Equal(first.ReadBytes(name).data<byte>().ToArray(), second.ReadBytes(name).data<byte>().ToArray());
        }
    }
}

file static class Stopping
{
    public static void CancelAfterStep(this CancellationTokenSource stop, InductionTrainer trainer, long step)
    {
        if (trainer.Step == step) stop.Cancel();
    }
}
