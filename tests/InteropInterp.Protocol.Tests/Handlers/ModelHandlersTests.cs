using InteropInterp.Models;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Tests.Handlers;

public class ModelHandlersTests
{
    [Fact]
    public void A_folder_loads_once_however_often_it_is_asked_for_and_tells_what_it_is()
    {
        using var files = new TemporaryFolder();
        using var client = new InProcess();
        var request = new LoadModelRequest { Path = TinyModel.Write(files.Path) };
        var first = client.Call<LoadModelResponse>(request).Model;
        var second = client.Call<LoadModelResponse>(request).Model;
        Assert.Equal(("models/1", "models/2", 1), (first.Name, second.Name, client.Models.Count));
        Assert.Equal(first.Digest, second.Digest);
        Assert.Equal(3, TransformerConfigJson.Parse(first.ConfigJson, "it").LayerCount);
        Assert.Equal((DataType.Float32, "cpu", 29, 28), (first.DataType, first.Device, first.Tokenizer.VocabularySize, first.Tokenizer.BosTokenId));
        Assert.False(first.Processing.FoldLn);
        request.Options = new V1.LoadOptions { Processing = new Processing { FoldLn = true }, DataType = DataType.Float64, FirstNLayers = 1 };
        var other = client.Call<LoadModelResponse>(request).Model;
        Assert.Equal((2, DataType.Float64, true), (client.Models.Count, other.DataType, other.Processing.FoldLn));
        client.Call<CloseModelResponse>(new CloseModelRequest { Name = first.Name });
        client.Call<CloseModelResponse>(new CloseModelRequest { Name = second.Name });
        Assert.Equal(1, client.Models.Count);
        Assert.Equal("MODEL_CLOSED", client.Refused(new GetModelRequest { Name = first.Name }));
        Assert.Equal(other, client.Call<GetModelResponse>(new GetModelRequest { Name = other.Name }).Model);
    }

    [Fact]
    public void What_names_no_device_goes_to_the_doors_own()
    {
        using var files = new TemporaryFolder();
        using var client = new InProcess(device: "cuda:63");
        var request = new LoadModelRequest { Path = TinyModel.Write(files.Path) };
        Assert.Equal("DEVICE_NOT_PRESENT", client.Refused(request));
        Assert.Equal("DEVICE_NOT_PRESENT", client.Refused(new CreateModelRequest { ConfigJson = TinyModel.Json() }));
        foreach (var name in new[] { "cpu", "cpu:0" })
        {
            request.Options = new V1.LoadOptions { Device = name };
            Assert.Equal("cpu", client.Call<LoadModelResponse>(request).Model.Device);
        }
        // One device of two names holds one model.
        Assert.Equal(1, client.Models.Count);
    }

    [Fact]
    public void A_state_dict_makes_the_model_whose_it_was()
    {
        using var client = new InProcess();
        var source = client.Model();
        var weights = client.Call<GetWeightsResponse>(new GetWeightsRequest { Model = source }).Weights;
        var request = new CreateModelRequest { ConfigJson = TinyModel.Json() };
        request.StateDict.Add(weights);
        var copy = client.Call<CreateModelResponse>(request).Model;
        Assert.Equal(2, client.Models.Count);
        float[] Of(string model) => client.Floats(client.Call<RunPlanResponse>(new RunPlanRequest
        {
            Model = model, Plan = new Plan { Rows = { InProcess.Row(1, 2, 3) }, Outputs = new Outputs { Logits = LogitsWanted.All } },
        }).Logits);
        Assert.Equal(Of(source), Of(copy.Name));

        request.StateDict["embed.W_E"] = InProcess.Value(1, 2, 3);
        var wrong = client.Error(request);
        Assert.Equal("WEIGHT_SHAPE", wrong.Reason);
        Assert.Contains("embed.W_E", wrong.Message);
        request.StateDict.Remove("embed.W_E");
        Assert.Contains("embed.W_E", client.Error(request).Message);
        request.StateDict["embed.W_F"] = InProcess.Value(1);
        Assert.Equal("UNEXPECTED_WEIGHT", client.Refused(request));
    }

    [Fact]
    public void Weights_that_are_not_finite_are_taken_as_they_are()
    {
        using var client = new InProcess();
        var request = new CreateModelRequest { ConfigJson = TinyModel.Json() };
        request.StateDict.Add(client.Call<GetWeightsResponse>(new GetWeightsRequest { Model = client.Model() }).Weights);
        using var scope = NewDisposeScope();
        var poisoned = client.Get(request.StateDict["blocks.1.mlp.W_in"].Ref).clone();
        poisoned[3, 4] = tensor(float.NaN);
        request.StateDict["blocks.1.mlp.W_in"] = new V1.Tensor { Ref = client.Tensors.Add(client.Session, poisoned).ToRef() };
        var copy = client.Call<CreateModelResponse>(request).Model;
        var logits = client.Floats(client.Call<RunPlanResponse>(new RunPlanRequest
        {
            Model = copy.Name, Plan = new Plan { Rows = { InProcess.Row(1, 2, 3) }, Outputs = new Outputs { Logits = LogitsWanted.All } },
        }).Logits);
        Assert.All(logits, x => Assert.True(float.IsNaN(x)));
    }

    [Theory]
    [InlineData("{", "INVALID_CONFIG")]
    [InlineData("[]", "INVALID_CONFIG")]
    [InlineData("", "INVALID_CONFIG")]
    [InlineData("""{"n_layers": 1, "d_model": 8, "n_ctx": 4, "d_head": 4, "d_vocab": 5}""", "INVALID_CONFIG")]
    [InlineData("""{"n_layers": 1, "d_model": 8, "n_ctx": 4, "d_head": 4, "d_vocab": 5, "act_fn": "relu", "d_modell": 3}""", "UNKNOWN_CONFIG_FIELD")]
    [InlineData("""{"n_layers": 1, "d_model": 8, "n_ctx": 4, "d_head": 4, "d_vocab": 5, "act_fn": "rellu"}""", "INVALID_CONFIG")]
    public void Configs_that_are_none_are_refused(string json, string reason)
    {
        using var client = new InProcess();
        Assert.Equal(reason, client.Refused(new CreateModelRequest { ConfigJson = json }));
    }

    [Theory]
    [InlineData(1_000_000_000, 1)]
    [InlineData(1, 1_000_000_000)]
    [InlineData(40, 4096)]
    public void A_model_that_would_not_fit_is_refused_before_memory_is_taken(int layers, int width)
    {
        using var client = new InProcess(modelBytes: 1 << 20);
        var error = client.Error(new CreateModelRequest
        {
            ConfigJson = $$"""{"n_layers": {{layers}}, "d_model": {{width}}, "n_heads": 1, "n_ctx": 4, "d_head": {{width}}, "d_vocab": 5, "attn_only": true}""",
        });
        Assert.Equal((ErrorCode.ResourceExhausted, "MODELS_TOO_LARGE"), (error.Code, error.Reason));
        client.Model();
        using var files = new TemporaryFolder();
        using var full = new InProcess(modelBytes: 30_000);
        Assert.Equal("MODELS_TOO_LARGE", full.Refused(new LoadModelRequest { Path = TinyModel.Write(files.Path) }));
    }

    [Fact]
    public void Models_are_listed_page_by_page()
    {
        using var client = new InProcess();
        for (var i = 0; i < 5; i++) client.Model(i);
        client.Call<CloseModelResponse>(new CloseModelRequest { Name = "models/2" });
        var (names, token) = (new List<string>(), "");
        do
        {
            var page = client.Call<ListModelsResponse>(new ListModelsRequest { PageSize = 3, PageToken = token });
            Assert.InRange(page.Models.Count, 1, 3);
            names.AddRange(page.Models.Select(m => m.Name));
            token = page.NextPageToken;
        }
        while (token.Length > 0);
        Assert.Equal(["models/1", "models/3", "models/4", "models/5"], names);
        Assert.Equal("INVALID_PAGE", client.Refused(new ListModelsRequest { PageSize = -1 }));
        Assert.Equal("INVALID_PAGE", client.Refused(new ListModelsRequest { PageToken = "x" }));
    }

    [Fact]
    public void What_is_saved_loads_again()
    {
        using var files = new TemporaryFolder();
        using var client = new InProcess();
        client.Call<SaveModelResponse>(new SaveModelRequest { Name = client.Model(), Path = files.File("saved") });
        var loaded = client.Call<LoadModelResponse>(new LoadModelRequest { Path = files.File("saved") }).Model;
        var names = client.Call<ListWeightsResponse>(new ListWeightsRequest { Model = loaded.Name }).Weights;
        Assert.Contains(names, w => w.Name == "blocks.2.attn.W_Q" && w.Shape.SequenceEqual([4, 16, 4]));
        Assert.Equal("FIELD_MISSING", client.Refused(new SaveModelRequest { Name = loaded.Name }));
        Assert.Equal("FIELD_MISSING", client.Refused(new LoadModelRequest()));
        Assert.Equal("MODEL_NOT_FOUND", client.Refused(new LoadModelRequest { Path = files.File("nothing") }));
    }

    [Fact]
    public void Hook_points_come_in_firing_order_with_axes_and_sizes()
    {
        using var client = new InProcess();
        var model = client.Model();
        var points = client.Call<ListHookPointsResponse>(new ListHookPointsRequest { Model = model }).HookPoints;
        Assert.Equal("hook_embed", points[0].Name);
        var pattern = points.Single(p => p.Name == "blocks.1.attn.hook_pattern");
        Assert.Equal(["batch", "head", "pos", "key_pos"], pattern.Axes);
        Assert.Equal([-1, 4, -1, -1], pattern.Shape);
        Assert.DoesNotContain(points, p => p.Name.EndsWith("hook_result", StringComparison.Ordinal));
        var more = client.Call<ListHookPointsResponse>(new ListHookPointsRequest { Model = model, Flags = new ModelFlags { UseAttnResult = true } }).HookPoints;
        Assert.Contains(more, p => p.Name == "blocks.0.attn.hook_result");
    }

    [Fact]
    public void Weights_are_views_that_nobody_may_write_to_and_go_with_the_model()
    {
        using var client = new InProcess();
        var model = client.Model();
        var weights = client.Call<GetWeightsResponse>(new GetWeightsRequest { Model = model, Names = { "blocks.*.attn.W_K", "embed.W_E", "embed.W_E" } }).Weights;
        Assert.Equal(4, weights.Count);
        Assert.True(weights["embed.W_E"].Ref.ReadOnly);
        Assert.Equal([29L, 16L], weights["embed.W_E"].Ref.Shape);
        Assert.Equal("UNKNOWN_WEIGHT", client.Refused(new GetWeightsRequest { Model = model, Names = { "embed.W_F" } }));
        Assert.Equal("UNKNOWN_WEIGHT", client.Refused(new GetWeightsRequest { Model = model, Names = { "nothing.*" } }));
        Assert.Equal(4, client.Tensors.Count);
        client.Call<CloseModelResponse>(new CloseModelRequest { Name = model });
        Assert.Equal(0, client.Tensors.Count);
    }

    [Fact]
    public void Ending_the_session_lets_everything_go_and_the_client_may_go_on()
    {
        using var client = new InProcess();
        client.Call<GetWeightsResponse>(new GetWeightsRequest { Model = client.Model() });
        client.Call<EndSessionResponse>(new EndSessionRequest());
        Assert.Equal((0, 0), (client.Models.Count, client.Tensors.Count));
        Assert.Equal("models/2", client.Model());
    }
}
