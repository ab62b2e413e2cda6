using InteropInterp.Caches;
using InteropInterp.Lenses;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Lenses;

public class LogitLensTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5]), new([9, 2, 6, 5, 3])];

    public static TheoryData<string> Kinds => [.. TinyModels.Kinds];

    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    [Fact]
    public void Logits_of_a_trained_model_are_TransformerLenss()
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "cache.safetensors"));
        using var model = ModelLoader.Load(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"));
        using var lens = LogitLens.Run(model, new Plan { Rows = Row.From(golden.Rows("tokens")) }, new LensOptions { KeepLogits = true });
        using var scope = NewDisposeScope();
        golden.Near("logit_lens_last", lens.Logits!.squeeze(2), 2e-5);
        Assert.Equal(["0_pre", "1_pre", "2_pre", "3_pre", "final_post"], lens.Labels);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Readings_are_those_of_the_logits_and_the_last_stream_is_the_model(string kind)
    {
        using var model = TinyModels.Make(kind);
        var plan = new Plan { Rows = Rows, Outputs = Outputs.AllLogits };
        IReadOnlyList<IReadOnlyList<int>> tokens = [[7, 8], [0, 39]];
        using var run = PlanRunner.Run(model, plan);
        // So little memory that every position goes by itself.
        using var lens = LogitLens.Run(model, plan, new LensOptions
        {
            Positions = Positions.All, IncludeMiddle = true, KeepLogits = true, TopK = 3, Tokens = tokens, WorkingBytes = 1,
        });
        using var scope = NewDisposeScope();
        Near(run.Logits!, lens.Logits![lens.Labels.Count - 1]);
        var middles = model.Config is { HasMlp: true, ParallelBlocks: false } ? model.Config.LayerCount : 0;
        Assert.Equal(model.Config.LayerCount + 1 + middles, lens.Labels.Count);

        var logProbs = lens.Logits!.log_softmax(-1);
        Near((logProbs.exp() * logProbs).sum(-1).neg(), lens.Entropy);
        var final = logProbs[lens.Labels.Count - 1];
        Near((final.exp() * (final - logProbs)).sum(-1), lens.KlToFinal);
        for (var row = 0; row < 2; row++)
            for (var t = 0; t < 2; t++)
            {
                var wanted = lens.Logits[TensorIndex.Colon, row, TensorIndex.Colon, tokens[row][t]];
                Near(wanted, lens.TokenLogits![TensorIndex.Colon, row, TensorIndex.Colon, t]);
                Near(logProbs[TensorIndex.Colon, row, TensorIndex.Colon, tokens[row][t]], lens.TokenLogProbs![TensorIndex.Colon, row, TensorIndex.Colon, t]);
                var rank = lens.Logits[TensorIndex.Colon, row].argsort(-1, true).eq(tensor((long)tokens[row][t])).to(ScalarType.Int64).argmax(-1);
                Assert.True(rank.equal(lens.TokenRanks![TensorIndex.Colon, row, TensorIndex.Colon, t]).all().item<bool>());
            }
        var (values, indices) = logProbs.topk(3, -1);
        Near(values, lens.TopLogProbs!);
        Assert.True(indices.eq(lens.TopTokens!).all().item<bool>());
    }

    [Fact]
    public void Positions_count_from_each_rows_own_end_and_batches_do_not_matter()
    {
        using var model = TinyModels.Make("gpt2");
        Row[] ragged = [new([3, 1, 4, 1, 5]), new([9, 2])];
        var options = new LensOptions { Positions = Positions.At(-1, -2), Tokens = [[4]] };
        using var both = LogitLens.Run(model, new Plan { Rows = ragged }, options);
        using var scope = NewDisposeScope();
        for (var row = 0; row < 2; row++)
        {
            using var one = LogitLens.Run(model, new Plan { Rows = [ragged[row]] }, options);
            Near(one.Entropy.select(1, 0), both.Entropy.select(1, row));
            Near(one.TokenLogits!.select(1, 0), both.TokenLogits!.select(1, row));
        }
        Assert.Equal("POSITIONS_RAGGED", Reason(() => LogitLens.Run(model, new Plan { Rows = ragged }, new LensOptions { Positions = Positions.All })));
    }

    [Fact]
    public void A_lens_sees_what_interventions_did()
    {
        using var model = TinyModels.Make("gpt2");
        var plan = new Plan { Rows = Rows, Outputs = Outputs.AllLogits, Interventions = [new Intervention("blocks.1.hook_attn_out", new ZeroOp())] };
        using var run = PlanRunner.Run(model, plan);
        using var lens = LogitLens.Run(model, plan, new LensOptions { KeepLogits = true });
        using var scope = NewDisposeScope();
        Near(run.Logits!.narrow(1, 4, 1), lens.Logits![3]);
    }

    [Fact]
    public void What_no_lens_can_read_is_refused()
    {
        using var model = TinyModels.Make("gpt2");
        var plan = new Plan { Rows = Rows };
        Assert.Equal("LENS_PLAN", Reason(() => LogitLens.Run(model, plan with { StopAtLayer = 2 })));
        Assert.Equal("TOKEN_OUT_OF_RANGE", Reason(() => LogitLens.Run(model, plan, new LensOptions { Tokens = [[40]] })));
        Assert.Equal("LENS_TOKENS", Reason(() => LogitLens.Run(model, plan, new LensOptions { Tokens = [[1], [2], [3]] })));
        Assert.Equal("LENS_TOKENS", Reason(() => LogitLens.Run(model, plan, new LensOptions { Tokens = [[1], [2, 3]] })));
        Assert.Equal("POSITION_OUT_OF_RANGE", Reason(() => LogitLens.Run(model, plan, new LensOptions { Positions = Positions.At(5) })));
    }

    private static void Near(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.InRange(Golden.Distance(actual, expected), 0, 1e-11);
    }
}
