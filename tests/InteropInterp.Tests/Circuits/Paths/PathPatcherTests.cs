using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Circuits.Paths;

public class PathPatcherTests
{
    private static readonly int[][] Clean = [[5, 9, 17, 3, 8, 30], [5, 9, 4, 21, 2, 7]];
    private static readonly int[][] Corrupt = [[5, 9, 12, 3, 25, 30], [5, 9, 4, 22, 33, 7]];

    private static PathPatch Patch(TransformerConfig config)
    {
        var last = config.LayerCount - 1;
        List<IReadOnlyList<Sender>> senders = [[Sender.Head(0, 0)], [Sender.Head(0, 1), Sender.Head(0, 3), Sender.Head(last, 2)],
            [Sender.Input], [Sender.ResidPre(1)]];
        List<IReadOnlyList<Receiver>> receivers =
        [
            [Receiver.Query(1, 2)], [Receiver.Key(last, 1)], [Receiver.Value(last, 0)], [Receiver.Logits],
            [Receiver.Query(1, 3), Receiver.Key(1, 0), Receiver.Query(1, 0)],
        ];
        if (!config.AttentionOnly)
        {
            senders.AddRange([[Sender.Mlp(0)], [Sender.Head(0, 2), Sender.Mlp(1)]]);
            receivers.AddRange([[Receiver.Mlp(last)], [Receiver.Mlp(1)]]);
        }
        return new PathPatch
        {
            Base = new Plan { Rows = Row.From(Clean) }, Source = new Plan { Rows = Row.From(Corrupt) }, Senders = senders,
                Receivers = receivers,
            Metric = new LogitDiff([3, 8], [9, 1]),
        };
    }

    public static TheoryData<string, bool, bool> Cases
    {
        get
        {
            var data = new TheoryData<string, bool, bool>();
            foreach (var kind in TinyModels.Kinds)
                foreach (var mlps in new[] { true, false })
                    foreach (var norms in new[] { false, true }) data.Add(kind, mlps, norms);
            return data;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void It_equals_the_papers_runs_done_one_by_one(string kind, bool freezeMlps, bool freezeNorms)
    {
        using var model = TinyModels.Make(kind);
        AssertBruteForce(model, Patch(model.Config) with { FreezeMlps = freezeMlps, FreezeNorms = freezeNorms });
    }

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel"), InlineData("attention")]
    public void Receivers_in_several_layers_are_all_held(string kind)
    {
        using var model = TinyModels.Make(kind);
        var last = model.Config.LayerCount - 1;
        AssertBruteForce(model, Patch(model.Config) with
        {
            Senders = [[Sender.Head(0, 0)], [Sender.Head(0, 1), Sender.Head(1, 3)], [Sender.Input]],
            Receivers = [[Receiver.Query(1, 0), Receiver.Value(1, 1), Receiver.Key(last, 0)],
                [Receiver.Value(0, 0), Receiver.Query(last, 1)]],
        });
    }

    [Theory, InlineData("gpt2"), InlineData("llama")]
    public void Positions_of_senders_and_of_receivers_are_chosen_apart(string kind)
    {
        using var model = TinyModels.Make(kind);
        var patch = Patch(model.Config) with { FreezeMlps = false };
        AssertBruteForce(model, patch with { SenderPositions = Positions.At(2, -1) });
        AssertBruteForce(model, patch with { ReceiverPositions = Positions.At(3) });
        AssertBruteForce(model, patch with { SenderPositions = Positions.Slice(2, 4), ReceiverPositions = Positions.Slice(3) });
    }

    [Fact]
    public void A_metric_of_all_positions_and_passes_of_one_cell_give_the_same()
    {
        using var model = TinyModels.Make("gpt2");
        var patch = Patch(model.Config) with { Metric = new Loss() };
        AssertBruteForce(model, patch, new ExecutionOptions { BatchBudget = 1 });
        AssertBruteForce(model, patch with { Metric = new LogProb([3]) { Position = 1 } }, expectsEffect: false);
    }

    [Fact]
    public void Effects_on_logits_of_all_direct_paths_add_up_where_norms_are_frozen()
    {
        using var model = TinyModels.Make("llama");
        var patch = Patch(model.Config);
        IReadOnlyList<Sender> all = [Sender.Input, .. Enumerable.Range(0, 3).SelectMany(l =>
            Enumerable.Range(0, 4).Select(h => Sender.Head(l, h)).Append(Sender.Mlp(l)))];
        var result = PathPatcher.Run(model, patch with
        {
            Senders = [.. all.Select(s => (IReadOnlyList<Sender>)[s]), all], Receivers = [[Receiver.Logits]], FreezeNorms = true,
        });
        var sum = Enumerable.Range(0, all.Count).Sum(i => result.Values[i, 0] - result.Baseline);
        Assert.Equal(result.Values[all.Count, 0] - result.Baseline, sum, 1e-9);
        // Every component at once, norms recomputed: the source run itself.
        var whole = PathPatcher.Run(model, patch with { Senders = [all], Receivers = [[Receiver.Logits]] });
        using var source = PlanRunner.Run(model, patch.Source with { Objective = new Objective { Metric = patch.Metric } });
        using var scope = NewDisposeScope();
        Assert.Equal(source.Metric!.mean().item<double>(), whole.Values[0, 0], 1e-9);
    }

    private static void AssertBruteForce(TransformerModel model, PathPatch patch, ExecutionOptions? options = null,
        bool expectsEffect = true)
    {
        var told = (0, 0);
        var result = PathPatcher.Run(model, patch with { Progress = (done, all) => told = (done, all) }, options);
        Assert.Equal(patch.Senders.Count * patch.Receivers.Count, told.Item1);
        double worst = 0, effect = 0;
        for (var s = 0; s < patch.Senders.Count; s++)
            for (var r = 0; r < patch.Receivers.Count; r++)
            {
                var expected = BruteForcePath.Run(model, patch, patch.Senders[s], patch.Receivers[r]);
                for (var row = 0; row < expected.Length; row++) worst = Math.Max(worst, Math.Abs(expected[row] - result.PerRow[s, r, row]));
                if (!result.HasPath[s, r]) Assert.Equal(result.Baseline, result.Values[s, r]);
                else effect = Math.Max(effect, Math.Abs(result.Values[s, r] - result.Baseline));
            }
        Assert.True(worst <= 1e-9, $"off by {worst:G3}");
        if (expectsEffect) Assert.True(effect > 1e-2, "no path has an effect: the test would pass for a patch that does nothing");
    }

    [Fact]
    public void What_cannot_be_patched_is_refused_with_the_reason()
    {
        using var model = TinyModels.Make("attention");
        var patch = Patch(model.Config);
        void Refused(string reason, PathPatch wrong) =>
            Assert.Equal(reason, Assert.Throws<InterpException>(() => PathPatcher.Run(model, wrong)).Reason);

        Refused("NO_PATH", patch with { Senders = [[Sender.Head(1, 0)]], Receivers = [[Receiver.Query(1, 0)], [Receiver.Value(0, 1)]] });
        Refused("NO_MLP", patch with { Senders = [[Sender.Mlp(0)]] });
        Refused("NO_MLP", patch with { Receivers = [[Receiver.Mlp(0)]] });
        Refused("HEAD_OUT_OF_RANGE", patch with { Senders = [[Sender.Head(0, 4)]] });
        Refused("LAYER_OUT_OF_RANGE", patch with { Receivers = [[Receiver.Query(2, 0)]] });
        Refused("SELECTS_NOTHING", patch with { Senders = [[]] });
        Refused("SELECTS_NOTHING", patch with { Receivers = [] });
        Refused("RECEIVER_HIDDEN", patch with { Receivers = [[Receiver.Logits, Receiver.Query(1, 0)]] });
        Refused("SENDER_HIDDEN", patch with { Senders = [[Sender.Head(0, 0), Sender.ResidPre(1)]] });
        Refused("POSITION_OUT_OF_RANGE", patch with { SenderPositions = Positions.At(6) });
        Refused("SOURCE_ROWS", patch with { Source = new Plan { Rows = Row.From(Corrupt[..1]) } });
        Refused("PROMPTS_OF_DIFFERENT_LENGTH", patch with { Source = new Plan { Rows = Row.From(Corrupt.Select(r => r[1..])) } });
        Refused("TOKEN_OUT_OF_RANGE", patch with { Metric = new LogProb([400]) });
        Refused("METRIC_ROWS", patch with { Metric = new LogProb([4, 4, 4]) });
        Refused("PAIR_BASE", patch with { Base = patch.Base with { Outputs = Outputs.AllLogits, StopAtLayer = 1 } });
    }

    [Theory]
    [InlineData("input"), InlineData("a3.h5"), InlineData("m12"), InlineData("resid_pre2")]
    public void Senders_are_read_back_from_their_names(string name) => Assert.Equal(name, Sender.Parse(name).Name);

    [Theory]
    [InlineData("a3.h5<q>"), InlineData("a0.h0<k>"), InlineData("a11.h10<v>"), InlineData("m12"), InlineData("logits")]
    public void Receivers_are_read_back_from_their_names(string name) => Assert.Equal(name, Receiver.Parse(name).Name);

    [Fact]
    public void Names_of_nothing_are_refused()
    {
        Assert.Equal("UNKNOWN_SENDER", Assert.Throws<InterpException>(() => Sender.Parse("a3.h5<q>")).Reason);
        Assert.Equal("UNKNOWN_RECEIVER", Assert.Throws<InterpException>(() => Receiver.Parse("a3.h5")).Reason);
    }

    [Fact]
    public void TransformerLenss_paths_of_a_trained_model_are_matched()
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "attribution.safetensors"));
        using var model = ModelLoader.Load(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"));
        var config = model.Config;
        var senders = PathPatch.EachHead(config);
        var heads = Enumerable.Range(0, config.LayerCount).SelectMany(l => Enumerable.Range(0, config.HeadCount).Select(h => (l, h)));
        IReadOnlyList<IReadOnlyList<Receiver>> receivers =
            [.. heads.SelectMany(x => new IReadOnlyList<Receiver>[] { [Receiver.Query(x.l, x.h)], [Receiver.Key(x.l, x.h)],
                [Receiver.Value(x.l, x.h)] }), [Receiver.Logits]];
        var result = PathPatcher.Run(model, new PathPatch
        {
            Base = new Plan { Rows = Row.From(golden.Rows("clean_tokens")) },
                Source = new Plan { Rows = Row.From(golden.Rows("corrupted_tokens")) },
            Senders = senders, Receivers = receivers, Metric = new LogitDiff([881], [720]),
        });
        using var scope = NewDisposeScope();
        var values = tensor(result.Values.Cast<double>().ToArray(), [senders.Count, receivers.Count]);
        var has = tensor(result.HasPath.Cast<bool>().ToArray(), [senders.Count, receivers.Count]).to(ScalarType.Float64);
        // TransformerLens writes 0 where there is no path.
        golden.Near("path/all", (values * has).narrow(1, 0, receivers.Count - 1).reshape(4, 4, 4, 4, 3), 1e-4);
        golden.Near("path/to_logits", values.select(1, receivers.Count - 1).reshape(4, 4), 1e-4);
        TestContext.Current.SendDiagnosticMessage(
            $"path/all {Golden.Distance((values * has).narrow(1, 0, receivers.Count - 1).reshape(4, 4, 4, 4, 3), golden["path/all"]):G3}, " +
            $"path/to_logits {Golden.Distance(values.select(1, receivers.Count - 1).reshape(4, 4), golden["path/to_logits"]):G3}");
    }
}
