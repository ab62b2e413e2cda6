using InteropInterp.Lenses;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Lenses;

public class TunedLensTests
{
    private static IReadOnlyList<Row> Rows(long first, int count)
    {
        var task = InductionTrainerOptions.Task;
        var (tokens, _) = task.Draw(77, first, count);
        return Row.From(tokens.Chunk(task.Length).Select(row => Array.ConvertAll(row, t => (int)t)));
    }

    private static double[] Kl(TransformerModel model, IReadOnlyList<Row> rows, TunedLens? lens)
    {
        using var result = LogitLens.Run(model, new Plan { Rows = rows }, new LensOptions { Positions = Positions.All, Tuned = lens, TopK = 0 });
        using var scope = NewDisposeScope();
        return result.KlToFinal.to(ScalarType.Float64).mean([1, 2]).data<double>().ToArray();
    }

    [Fact]
    public void Training_brings_every_layer_nearer_to_the_output_on_rows_it_has_not_seen()
    {
        using var folder = new TemporaryFolder();
        using var model = HookedTransformer.FromPretrained("induction");
        using var trained = TunedLensTrainer.Train(model.Model, Rows(0, 256), new TunedLensOptions { Steps = 80, BatchSize = 8, LearningRate = 3e-3, Seed = 1 });
        Assert.Equal(80, trained.Losses.Count);
        Assert.True(trained.Losses[^1] < trained.Losses[0]);

        var unseen = Rows(10_000, 32);
        var (plain, tuned) = (Kl(model.Model, unseen, null), Kl(model.Model, unseen, trained.Lens));
        Assert.Equal(0, tuned[^1], 1e-6);
        for (var l = 0; l < model.Config.LayerCount; l++)
            Assert.True(tuned[l] < plain[l] - 0.05, $"layer {l}: KL {tuned[l]:F3} with the tuned lens, {plain[l]:F3} with the logit lens");

        trained.Lens.Save(folder.File("lens.safetensors"));
        using var loaded = TunedLens.Load(folder.File("lens.safetensors"), model.Model);
        Assert.Equal(tuned, Kl(model.Model, unseen, loaded));
    }

    [Fact]
    public void On_text_a_tuned_lens_knows_far_more_than_the_logit_lens()
    {
        using var model = HookedTransformer.FromPretrained(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"));
        const int Unseen = 16;
        var text = File.ReadAllText(SharedFolder.Path("models", "08_text_and_prompts", "tinyshakespeare.txt"))[..40_000];
        var rows = model.ToRows([.. text.Chunk(250).Select(piece => new string(piece))]).Select(row => new Row([.. row.Tokens.Take(64)])).ToList();
        Assert.All(rows, row => Assert.Equal(64, row.Length));
        using var trained = TunedLensTrainer.Train(model.Model, rows.SkipLast(Unseen).ToList(), new TunedLensOptions { Steps = 40, BatchSize = 4, LearningRate = 3e-3 });
        var (plain, tuned) = (Kl(model.Model, rows.TakeLast(Unseen).ToList(), null), Kl(model.Model, rows.TakeLast(Unseen).ToList(), trained.Lens));
        for (var l = 0; l < model.Config.LayerCount; l++)
            Assert.True(tuned[l] < 0.7 * plain[l], $"layer {l}: KL {tuned[l]:F3} with the tuned lens, {plain[l]:F3} with the logit lens");
    }

    [Fact]
    public void The_identity_is_the_logit_lens_and_the_same_seed_gives_the_same_lens()
    {
        using var model = TinyModels.Make("llama");
        Row[] rows = [new([1, 2, 3]), new([4, 5, 6]), new([7, 8, 9])];
        using var identity = TunedLens.Identity(model);
        Assert.Equal(Kl(model, rows, null), Kl(model, rows, identity));
        var options = new TunedLensOptions { Steps = 3, BatchSize = 2, Seed = 4 };
        using var first = TunedLensTrainer.Train(model, rows, options);
        using var second = TunedLensTrainer.Train(model, rows, options);
        using var other = TunedLensTrainer.Train(model, rows, options with { Seed = 5 });
        Assert.Equal(first.Losses, second.Losses);
        Assert.NotEqual(first.Losses, other.Losses);
        Assert.Equal(0, Golden.Distance(first.Lens.Weights[1], second.Lens.Weights[1]));
        Assert.False(first.Lens.Weights[0].requires_grad);
        // Before any update its loss is the logit lens's KL.
        using var untrained = TunedLensTrainer.Train(model, rows, options with { Steps = 1, BatchSize = 3 });
        Assert.Equal(Kl(model, rows, null)[..3].Average(), untrained.Losses[0], 1e-5);
    }

    [Fact]
    public void A_lens_of_another_model_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var gpt2 = TinyModels.Make("gpt2");
        using var small = TinyModels.Make("attention");
        using var lens = TunedLens.Identity(gpt2);
        var plan = new Plan { Rows = [new([1, 2])] };
        Assert.Equal("LENS_MODEL", Assert.Throws<InterpException>(() => LogitLens.Run(small, plan, new LensOptions { Tuned = lens })).Reason);
        lens.Save(folder.File("lens.safetensors"));
        Assert.Equal("LENS_INVALID", Assert.Throws<InterpException>(() => TunedLens.Load(folder.File("lens.safetensors"), small)).Reason);
        Assert.Equal("INVALID_OPTION", Assert.Throws<InterpException>(() => TunedLensTrainer.Train(gpt2, plan.Rows, new TunedLensOptions { Steps = 0 })).Reason);
        Assert.Equal("LENS_STREAMS", Assert.Throws<InterpException>(
            () => LogitLens.Run(gpt2, plan, new LensOptions { Tuned = lens, IncludeMiddle = true })).Reason);
    }
}
