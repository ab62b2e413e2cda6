using InteropInterp.Attribution;
using InteropInterp.Caches;
using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Hooks;
using InteropInterp.Lenses;
using InteropInterp.Models;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Protocol.V1;
using static InteropInterp.Protocol.Tests.Handlers.InProcess;
using EnginePlan = InteropInterp.Plans.Plan;
using PatchDirections = InteropInterp.Plans.PatchDirections;
using EngineRow = InteropInterp.Plans.Row;
using LogitDiff = InteropInterp.Plans.Metrics.LogitDiff;

namespace InteropInterp.Protocol.Tests.Handlers;

public class AnalysisHandlersTests
{
    private static readonly Plan Clean = new() { Rows = { Row(3, 1, 20, 7), Row(9, 9, 2, 14) } };
    private static readonly Plan Corrupt = new() { Rows = { Row(3, 1, 5, 7), Row(9, 4, 2, 14) } };
    private static readonly EnginePlan EngineClean = new() { Rows = EngineRow.From([[3, 1, 20, 7], [9, 9, 2, 14]]) };
    private static readonly EnginePlan EngineCorrupt = new() { Rows = EngineRow.From([[3, 1, 5, 7], [9, 4, 2, 14]]) };
    private static readonly Metric Difference = new() { LogitDiff = new LogitDiffMetric { Correct = { 3, 8 }, Incorrect = { 9, 1 } } };
    private static readonly LogitDiff EngineDifference = new([3, 8], [9, 1]);

    [Fact]
    public void Attributions_of_nodes_come_by_site_in_the_order_asked_for()
    {
        using var client = new InProcess();
        var response = client.Call<AttributeNodesResponse>(new AttributeNodesRequest
        {
            Model = client.Model(),
            Patch = new V1.NodePatch { Clean = Clean, Corrupt = Corrupt, Metric = Difference, Sites = { "pattern", "mlp_post" }, Direction = PatchDirection.Both },
        });
        using var model = ModelLoader.Random(TinyModel.Config);
        using var direct = NodePatcher.Run(model, new Attribution.NodePatch
        {
            Clean = EngineClean, Corrupt = EngineCorrupt, Metric = EngineDifference, Sites = [HookSite.Pattern, HookSite.MlpPost], Directions = PatchDirections.Both,
        });
        Assert.Equal(["attn.hook_pattern: layer head pos src_pos", "mlp.hook_post: layer pos neuron"], response.Sites.Select(s => $"{s.Site}: {string.Join(' ', s.Axes)}"));
        Assert.Equal(direct.Denoising![HookSite.Pattern].data<float>().ToArray(), client.Floats(response.Sites[0].Denoising));
        Assert.Equal(direct.Noising![HookSite.MlpPost].data<float>().ToArray(), client.Floats(response.Sites[1].Noising));
    }

    [Fact]
    public void Edges_come_with_their_names_and_in_double_precision()
    {
        using var client = new InProcess();
        var response = client.Call<AttributeEdgesResponse>(new AttributeEdgesRequest
        {
            Model = client.Model(), Patch = new V1.EdgePatch { Clean = Clean, Corrupt = Corrupt, Metric = Difference, Method = V1.EdgeMethod.IntegratedInputs },
        });
        using var model = ModelLoader.Random(TinyModel.Config);
        var direct = EdgePatcher.Run(model, new Attribution.EdgePatch
        {
            Clean = EngineClean, Corrupt = EngineCorrupt, Metric = EngineDifference, Method = Attribution.EdgeMethod.IntegratedInputs,
        });
        Assert.Equal((DataType.Float64, direct.Graph.Senders.Count, direct.Graph.Receivers.Count), (response.Scores.Ref.DataType, response.Senders.Count, response.Receivers.Count));
        using var scope = TorchSharp.torch.NewDisposeScope();
        Assert.Equal(direct.Values.Cast<double>(), client.Get(response.Scores.Ref).data<double>().ToArray());
        Assert.Equal("logits", response.Receivers[^1]);
        Assert.Equal(direct.Graph.EdgeCount, response.Reaching.Sum());
    }

    [Fact]
    public void Paths_are_patched_between_named_components()
    {
        using var client = new InProcess();
        var request = new PatchPathsRequest
        {
            Model = client.Model(),
            Patch = new V1.PathPatch
            {
                Base = Clean, Source = Corrupt, Metric = Difference, Senders = { new SenderSet { Senders = { "input", "m0" } }, new SenderSet { Senders = { "a1.h1" } } },
                Receivers = { new ReceiverSet { Receivers = { "a1.h0<v>" } }, new ReceiverSet { Receivers = { "logits" } } }, FreezeNorms = true,
            },
        };
        var response = client.Call<PatchPathsResponse>(request);
        using var model = ModelLoader.Random(TinyModel.Config);
        var direct = PathPatcher.Run(model, new Circuits.Paths.PathPatch
        {
            Base = EngineClean, Source = EngineCorrupt, Metric = EngineDifference, Senders = [[Sender.Input, Sender.Mlp(0)], [Sender.Head(1, 1)]],
            Receivers = [[Receiver.Value(1, 0)], [Receiver.Logits]], FreezeNorms = true,
        });
        Assert.Equal(direct.Values.Cast<double>(), response.Values);
        Assert.Equal(direct.PerRow.Cast<double>(), response.PerRow);
        Assert.Equal([true, true, false, true], response.HasPath);
        Assert.Equal(direct.Baseline, response.Baseline);
        request.Patch.Senders.Add(new SenderSet { Senders = { "head3" } });
        Assert.Equal("UNKNOWN_SENDER", client.Refused(request));
    }

    [Fact]
    public void A_lens_gives_what_was_asked_for_and_nothing_else()
    {
        using var client = new InProcess();
        var model = client.Model();
        var response = client.Call<ReadLensResponse>(new ReadLensRequest
        {
            Model = model, Plan = Clean, Options = new V1.LensOptions { Tokens = { new IndexList { Values = { 3, 8 } } }, TopK = 0, KeepLogits = true },
        });
        using var engine = ModelLoader.Random(TinyModel.Config);
        using var direct = LogitLens.Run(engine, EngineClean, new Lenses.LensOptions { Tokens = [[3, 8]], TopK = 0, KeepLogits = true });
        Assert.Equal(direct.Labels, response.Labels);
        Assert.Equal(direct.Logits!.data<float>().ToArray(), client.Floats(response.Logits));
        Assert.Equal(direct.TokenLogProbs!.data<float>().ToArray(), client.Floats(response.TokenLogProbs));
        Assert.Equal(direct.Entropy.data<float>().ToArray(), client.Floats(response.Entropy));
        Assert.Equal((null, null), (response.TopTokens, response.TopLogProbs));
        // The last position and five tokens, where nothing is said.
        Assert.Equal([4L, 2L, 1L, 5L], client.Call<ReadLensResponse>(new ReadLensRequest { Model = model, Plan = Clean }).TopTokens.Ref.Shape);
    }

    [Fact]
    public void Logits_too_large_for_the_session_are_refused_before_they_are_made()
    {
        using var client = new InProcess(new TensorStoreOptions { SessionBytes = 1000 });
        var request = new ReadLensRequest { Model = client.Model(), Plan = Clean, Options = new V1.LensOptions { KeepLogits = true } };
        Assert.Equal("TENSOR_QUOTA", client.Refused(request));
        request.Options.KeepLogits = false;
        Assert.Equal(4, client.Call<ReadLensResponse>(request).Labels.Count);
    }

    [Fact]
    public void Logits_are_attributed_to_components()
    {
        using var client = new InProcess();
        var request = new AttributeLogitsRequest
        {
            Model = client.Model(), Plan = Clean, Attribution = new V1.LogitAttribution { Tokens = { 3 }, Incorrect = { 9, 1 }, Unit = V1.AttributionUnit.Head },
        };
        var response = client.Call<AttributeLogitsResponse>(request);
        using var engine = ModelLoader.Random(TinyModel.Config);
        using var direct = DirectLogitAttribution.Run(
            engine, EngineClean, new DirectLogitAttributionOptions([3]) { Incorrect = [9, 1], Unit = Caches.AttributionUnit.Head });
        Assert.Equal(direct.Labels, response.Labels);
        Assert.Equal(direct.Values.data<float>().ToArray(), client.Floats(response.Values));
        request.Attribution.Tokens.Clear();
        Assert.Equal("attribution.tokens", client.Error(request).Field);
    }

    [Fact]
    public void What_is_missing_is_named_and_nothing_stays_behind()
    {
        using var client = new InProcess();
        var (model, held) = (client.Model(), client.Tensors.Count);
        Assert.Equal("patch", client.Error(new AttributeNodesRequest { Model = model }).Field);
        Assert.Equal("patch.metric", client.Error(new AttributeEdgesRequest { Model = model, Patch = new V1.EdgePatch { Clean = Clean, Corrupt = Corrupt } }).Field);
        Assert.Equal("patch.source", client.Error(new PatchPathsRequest { Model = model, Patch = new V1.PathPatch { Base = Clean } }).Field);
        Assert.Equal("patch.direction", client.Error(new AttributeNodesRequest
        {
            Model = model, Patch = new V1.NodePatch { Clean = Clean, Corrupt = Corrupt, Metric = Difference, Sites = { "z" }, Direction = (PatchDirection)9 },
        }).Field);
        Assert.Equal(held, client.Tensors.Count);
    }
}
