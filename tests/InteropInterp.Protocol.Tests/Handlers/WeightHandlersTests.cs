using InteropInterp.Circuits;
using InteropInterp.Circuits.Weights;
using InteropInterp.Heads;
using InteropInterp.Lenses;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Protocol.V1;
using static InteropInterp.Protocol.Tests.Handlers.InProcess;
using static TorchSharp.torch;
using EngineHead = InteropInterp.Circuits.Weights.HeadName;
using HeadName = InteropInterp.Protocol.V1.HeadName;
using Plan = InteropInterp.Plans.Plan;

namespace InteropInterp.Protocol.Tests.Handlers;

/// <summary>Weights, heads and lenses: what comes back is what the engine says.</summary>
public class WeightHandlersTests
{
    private static readonly IReadOnlyList<Plans.Row> Rows = Plans.Row.From([[3, 1, 20, 7], [9, 4, 2, 14]]);
    private static readonly V1.Row[] Messages = [Row(3, 1, 20, 7), Row(9, 4, 2, 14)];

    private static double[] Numbers(InProcess client, V1.Tensor tensor)
    {
        using var scope = NewDisposeScope();
        return client.Get(tensor.Ref).to(ScalarType.Float64).contiguous().data<double>().ToArray();
    }

    [Fact]
    public void Circuits_of_heads_come_as_numbers()
    {
        using var client = new InProcess();
        var name = client.Model();
        using var model = ModelLoader.Random(TinyModel.Config);
        using var scope = NewDisposeScope();
        var found = client.Call<GetEigenvaluesResponse>(new GetEigenvaluesRequest { Model = name, Circuit = HeadCircuit.Qk });
        var direct = CircuitEigenvalues.FullQK(model);
        Assert.Equal(direct.real.contiguous().data<float>().ToArray(), client.Floats(found.Real));
        Assert.Equal(direct.imag.contiguous().data<float>().ToArray(), client.Floats(found.Imaginary));
        Assert.Equal(CircuitEigenvalues.Positivity(direct).data<float>().ToArray(), client.Floats(found.Positivity));

        var composed = client.Call<ScoreCompositionResponse>(new ScoreCompositionRequest { Model = name, Kind = CompositionKind.K, Samples = 5, Seed = 2 });
        using var scores = CompositionScores.All(model, Composition.K);
        Assert.Equal(scores.data<float>().ToArray(), client.Floats(composed.Scores));
        var baseline = CompositionBaseline.Measure(16, 4, 5, 2);
        Assert.Equal((baseline.Mean, baseline.Deviation), (composed.BaselineMean, composed.BaselineDeviation));

        var virtualHead = client.Call<GetVirtualHeadResponse>(new GetVirtualHeadRequest
        {
            Model = name, Heads = { new HeadName { Layer = 0, Head = 1 }, new HeadName { Layer = 2, Head = 3 } }, Plan = new V1.Plan { Rows = { Messages } },
        });
        var chain = VirtualHeads.OV(model, new EngineHead(0, 1), new EngineHead(2, 3));
        Assert.Equal(chain.A.contiguous().data<float>().ToArray(), client.Floats(virtualHead.A));
        Assert.Equal([2L, 4, 4], virtualHead.Pattern.Ref.Shape);
        using var pattern = VirtualHeads.Pattern(model, new Plan { Rows = Rows }, [new EngineHead(0, 1), new EngineHead(2, 3)]);
        Assert.Equal(pattern.data<float>().ToArray(), client.Floats(virtualHead.Pattern));

        using var directions = SingularDirections.Of(model, Circuits.Weights.DirectionSource.MlpOut, 1, count: 3);
        var read = client.Call<GetSingularDirectionsResponse>(new GetSingularDirectionsRequest { Model = name, Source = V1.DirectionSource.MlpOut, Layer = 1, Count = 3 });
        Assert.Equal(directions.Logits.contiguous().data<float>().ToArray(), client.Floats(read.Logits));
        Assert.Equal("source", client.Error(new GetSingularDirectionsRequest { Model = name }).Field);
        Assert.Equal("kind", client.Error(new ScoreCompositionRequest { Model = name }).Field);
    }

    [Fact]
    public void Tables_of_tokens_come_as_messages()
    {
        using var client = new InProcess();
        var name = client.Model();
        using var model = ModelLoader.Random(TinyModel.Config);
        using var scope = NewDisposeScope();
        var entries = client.Call<ListTopEntriesResponse>(new ListTopEntriesRequest { Model = name, Heads = { new HeadName { Layer = 1, Head = 2 } }, Count = 4 });
        Assert.Equal(TopEntries.Of(FullCircuits.OV(model, new EngineHead(1, 2)), 4).Select(e => (e.Row, e.Column, e.Value)), entries.Entries.Select(e => (e.Row, e.Column, e.Value)));
        var bigrams = client.Call<ListBigramsResponse>(new ListBigramsRequest { Model = name, Tokens = { 4, 2 }, Top = 3, Position = 1 });
        Assert.Equal(BigramTable.Of(model, [4, 2], 3, 1).SelectMany(b => b.Next), bigrams.Bigrams.SelectMany(b => b.Next.Select(n => (n.Token, n.Score))));
        Assert.Equal(29, client.Call<ListBigramsResponse>(new ListBigramsRequest { Model = name }).Bigrams.Count);
        var trigrams = client.Call<ListSkipTrigramsResponse>(new ListSkipTrigramsRequest { Model = name, Head = 3, Top = 2 });
        var direct = SkipTrigrams.Of(model, 3, top: 2);
        Assert.Equal(direct.Select(t => t.Source), trigrams.Trigrams.Select(t => t.Source));
        Assert.Equal(direct.SelectMany(t => t.Outs), trigrams.Trigrams.SelectMany(t => t.Outs.Select(o => (o.Token, o.Score))));
        Assert.Equal("VIRTUAL_HEAD", client.Refused(new ListTopEntriesRequest { Model = name, Circuit = HeadCircuit.Qk }));
        Assert.Equal("NOT_ATTENTION_ONLY", client.Refused(new MeasureTermsRequest { Model = name, Rows = { Messages } }));
    }

    [Fact]
    public void Heads_are_scored_and_their_attention_weighed()
    {
        using var client = new InProcess();
        var name = client.Model();
        using var model = ModelLoader.Random(TinyModel.Config);
        int[][] segments = [[3, 1, 20], [9, 4, 2]];
        var found = client.Call<ScoreHeadsResponse>(new ScoreHeadsRequest
        {
            Model = name, Segments = { segments.Select(s => new IndexList { Values = { s } }) }, Start = 28, Repeats = 3,
        });
        var scores = HeadScores.Measure(model, RepeatedTokens.Of(segments, 28));
        Assert.Equal(scores.Induction, Numbers(client, found.Induction));
        Assert.Equal(PrefixMatching.Measure(model, segments, 28, 3).SelectMany(x => x), Numbers(client, found.PrefixMatching));
        Assert.Equal(CopyingByHead.Measure(model, segments, 28).SelectMany(x => x), Numbers(client, found.Copying));

        var detected = client.Call<DetectHeadsResponse>(new DetectHeadsRequest
        {
            Model = name, Rows = { Messages }, Kind = "previous_token_head", Heads = { new HeadName { Layer = 1, Head = 2 } }, ExcludeBos = true,
        });
        var options = new HeadDetectorOptions { Heads = [(1, 2)], ExcludeBos = true };
        Assert.Equal(HeadDetector.Detect(model, Rows, "previous_token_head", options).SelectMany(x => x), Numbers(client, detected.Scores));
        Assert.Equal("wanted", client.Error(new DetectHeadsRequest { Model = name, Rows = { Messages } }).Field);
        Assert.Equal("PATTERN_OF_ONE_ROW", client.Refused(new DetectHeadsRequest { Model = name, Rows = { Messages }, Pattern = Value(1) }));

        var weighed = client.Call<WeighAttentionResponse>(new WeighAttentionRequest
        {
            Model = name, Plan = new V1.Plan { Rows = { Messages } }, Layers = new V1.Positions { Indices = new IndexList { Values = { -1 } } }, By = WeightedBy.Value,
        });
        using var direct = WeightedAttention.Of(model, new Plan { Rows = Rows }, [2], AttentionWeighting.Value);
        Assert.Equal([2], weighed.Layers);
        Assert.Equal(direct.data<float>().ToArray(), client.Floats(weighed.Weights));
    }

    [Fact]
    public void A_trained_lens_comes_back_and_is_looked_through()
    {
        using var client = new InProcess();
        var name = client.Model();
        using var model = ModelLoader.Random(TinyModel.Config);
        var request = new TrainTunedLensRequest { Model = name, Rows = { Messages }, Options = new V1.TunedLensOptions { Steps = 3, BatchSize = 2, LearningRate = 0.01, Seed = 4 } };
        var trained = client.Call<TrainTunedLensResponse>(request);
        using var direct = TunedLensTrainer.Train(model, Rows, new Lenses.TunedLensOptions { Steps = 3, BatchSize = 2, LearningRate = 0.01, Seed = 4 });
        Assert.Equal(direct.Losses, trained.Losses);
        Assert.Equal(direct.Lens.Translators.Select(t => t.Key).Order(), trained.Translators.Keys.Order());
        Assert.Equal(direct.Lens.Weights[1].data<float>().ToArray(), client.Floats(trained.Translators["1.weight"]));
        var look = new ReadLensRequest { Model = name, Plan = new V1.Plan { Rows = { Messages } } };
        foreach (var (key, translator) in trained.Translators) look.Translators[key] = translator;
        using var seen = LogitLens.Run(model, new Plan { Rows = Rows }, new Lenses.LensOptions { Tuned = direct.Lens });
        Assert.Equal(seen.KlToFinal.data<float>().ToArray(), client.Floats(client.Call<ReadLensResponse>(look).KlToFinal));
        look.TunedLens = "lens.safetensors";
        Assert.Equal("TWO_LENSES", client.Refused(look));
        look.TunedLens = "";
        look.Translators.Remove("1.bias");
        Assert.Equal("LENS_INVALID", client.Refused(look));
    }
}
