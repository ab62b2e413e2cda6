using Grpc.Core;
using Grpc.Core.Interceptors;
using InteropInterp.Dictionaries;
using InteropInterp.Dictionaries.Architectures;
using InteropInterp.Dictionaries.Formats;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Tests.Support;
using static InteropInterp.Server.Tests.Support.TestClient;
using static TorchSharp.torch;

namespace InteropInterp.Server.Tests;

public class MethodsTests
{
    /// <summary>Notes which methods were called.</summary>
    private sealed class Noting(HashSet<string> called) : Interceptor
    {
        public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
            TRequest request, ClientInterceptorContext<TRequest, TResponse> context, AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
        {
            called.Add(context.Method.FullName);
            return continuation(request, context);
        }

        public override AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
            TRequest request, ClientInterceptorContext<TRequest, TResponse> context, AsyncServerStreamingCallContinuation<TRequest, TResponse> continuation)
        {
            called.Add(context.Method.FullName);
            return continuation(request, context);
        }

        public override AsyncClientStreamingCall<TRequest, TResponse> AsyncClientStreamingCall<TRequest, TResponse>(
            ClientInterceptorContext<TRequest, TResponse> context, AsyncClientStreamingCallContinuation<TRequest, TResponse> continuation)
        {
            called.Add(context.Method.FullName);
            return continuation(context);
        }

        public override AsyncDuplexStreamingCall<TRequest, TResponse> AsyncDuplexStreamingCall<TRequest, TResponse>(
            ClientInterceptorContext<TRequest, TResponse> context, AsyncDuplexStreamingCallContinuation<TRequest, TResponse> continuation)
        {
            called.Add(context.Method.FullName);
            return continuation(context);
        }
    }

    [Fact]
    public async Task Every_method_answers()
    {
        await using var server = await TestServer.Start();
        TinyModel.Write(server.Models);
        Dictionary(server.Models);
        using var client = server.Connect(server.Socket);
        var called = new HashSet<string>();
        var invoker = client.Invoker.Intercept(new Noting(called));
        await Models(new(invoker));
        await Tokens(new(invoker));
        await Runs(new(invoker));
        await Circuits(new(invoker), new(invoker));
        await Weights(new(invoker), new(invoker), new(invoker));
        await Tensors(new(invoker), new(invoker));
        await Dictionaries(new(invoker));
        var other = new ServerService.ServerServiceClient(invoker);
        await other.GetServerInfoAsync(new GetServerInfoRequest());
        using (var kept = other.KeepSession(new KeepSessionRequest())) Assert.True(await kept.ResponseStream.MoveNext(default));
        await other.EndSessionAsync(new EndSessionRequest());
        Assert.Equal(0, server.Host.TensorCount);

        var services = new[] { ModelService.Descriptor, TokenService.Descriptor, RunService.Descriptor, CircuitService.Descriptor, WeightService.Descriptor, HeadService.Descriptor, LensService.Descriptor, ProgressService.Descriptor, TensorService.Descriptor, DictionaryService.Descriptor, ServerService.Descriptor };
        Assert.Equal(services.SelectMany(s => s.Methods).Select(m => $"/{m.Service.FullName}/{m.Name}").Order(), called.Order());
    }

    private static async Task Models(ModelService.ModelServiceClient models)
    {
        var loaded = (await models.LoadModelAsync(new LoadModelRequest { Path = "tiny" })).Model;
        Assert.Equal("models/1", loaded.Name);
        await models.CreateModelAsync(new CreateModelRequest { ConfigJson = TinyModel.Json(), TokenizerOf = loaded.Name });
        Assert.Equal(2, (await models.ListModelsAsync(new ListModelsRequest())).Models.Count);
        Assert.Equal(loaded, (await models.GetModelAsync(new GetModelRequest { Name = loaded.Name })).Model);
        Assert.Equal("hook_embed", (await models.ListHookPointsAsync(new ListHookPointsRequest { Model = loaded.Name })).HookPoints[0].Name);
        Assert.NotEmpty((await models.ListWeightsAsync(new ListWeightsRequest { Model = loaded.Name })).Weights);
        Assert.NotNull((await models.GetWeightsAsync(new GetWeightsRequest { Model = loaded.Name, Names = { "embed.W_E" } })).Weights["embed.W_E"].Value);
        await models.SaveModelAsync(new SaveModelRequest { Name = loaded.Name, Path = "copy" });
        Assert.Equal(loaded.ConfigJson, (await models.LoadModelAsync(new LoadModelRequest { Path = "copy" })).Model.ConfigJson);
        await models.CloseModelAsync(new CloseModelRequest { Name = "models/2" });
    }

    private static async Task Tokens(TokenService.TokenServiceClient tokens)
    {
        var row = (await tokens.TokenizeAsync(new TokenizeRequest { Model = "models/1", Texts = { "abc" } })).Rows[0];
        Assert.Equal("<end>abc", (await tokens.DetokenizeAsync(new DetokenizeRequest { Model = "models/1", Rows = { row } })).Rows[0].Text);
        Assert.Equal(3, (await tokens.GetSingleTokenAsync(new GetSingleTokenRequest { Model = "models/1", Text = "c" })).Token);
    }

    private static async Task Runs(RunService.RunServiceClient runs)
    {
        var plan = new Plan { Rows = { Row(1, 2, 3) }, Outputs = new Outputs { Logits = LogitsWanted.Last, Loss = true } };
        var request = new RunPlanRequest { Model = "models/1", Plan = plan };
        var response = await runs.RunPlanAsync(request);
        Assert.True(response.Loss > 0);
        Assert.Equal([1L, 1L, 29L], response.Logits.Value.Shape);
        Assert.True((await runs.CheckPlanAsync(new CheckPlanRequest { Model = "models/1", Plan = plan })).Flops > 0);
        var generate = new RunPlanRequest { Model = "models/1", Plan = new Plan { Rows = { Row(1, 2), Row(3) }, Generation = new Protocol.V1.Generation { MaxNewTokens = 4 } } };
        using (var call = runs.StreamPlan(generate))
        {
            var told = await call.ResponseStream.ReadAllAsync().ToListAsync();
            Assert.Equal(4, told.Count(t => t.NewTokens is not null));
            Assert.Equal(4, told[^2].Progress.Done);
            Assert.Equal(told[^1].Result.Tokens[1].Tokens.Skip(1), told.Where(t => t.NewTokens is not null).Select(t => t.NewTokens.Tokens[1]));
        }
        var sweep = new RunSweepRequest
        {
            Model = "models/1",
            Sweep = new Sweep { Base = new Plan { Rows = { Row(1, 2, 3) } }, Grid = "attn_head_out_all_pos", Zero = new ZeroOp(), Declared = new Metric { LogProb = new LogProbMetric { Tokens = { 4 } } } },
        };
        var swept = await runs.RunSweepAsync(sweep);
        Assert.Equal([3, 4], swept.Shape);
        using (var call = runs.StreamSweep(sweep))
        {
            var told = await call.ResponseStream.ReadAllAsync().ToListAsync();
            Assert.Equal(12, told[^2].Progress.Done);
            Assert.Equal(swept, told[^1].Result);
        }
        sweep.Sweep.Callback = new CallbackOp();
        using var asking = runs.CallbackSweep();
        await asking.RequestStream.WriteAsync(new CallbackSweepRequest { Request = sweep });
        var questions = 0;
        await foreach (var message in asking.ResponseStream.ReadAllAsync())
        {
            if (message.Question is { } question)
            {
                questions++;
                Assert.Equal((3, questions == 2), (question.Positions, question.IsProbe));
                var logits = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(question.Logits.Value.Data.Span)[^29..].ToArray();
                var value = logits[4] - Math.Log(logits.Sum(x => Math.Exp(x)));
                await asking.RequestStream.WriteAsync(new CallbackSweepRequest { Reply = new MetricReply { Value = value } });
                if (questions > 2) Assert.Equal(1, question.Logits.Value.Shape[1]);
            }
            if (message.Result is not { } result) continue;
            for (var i = 0; i < 12; i++) Assert.Equal(swept.Values[i], result.Values[i], 1e-5);
            Assert.Equal(swept.Baseline, result.Baseline, 1e-5);
        }
        Assert.Equal(14, questions);
    }

    private static async Task Circuits(CircuitService.CircuitServiceClient circuits, ProgressService.ProgressServiceClient progress)
    {
        var graph = await circuits.GetResidualGraphAsync(new GetResidualGraphRequest { Model = "models/1" });
        var task = new CircuitTask { Prompts = new Plan { Rows = { Row(1, 2, 3) } }, Zero = new ZeroOp(), Metric = new Metric { LogProb = new LogProbMetric { Tokens = { 4 } } } };
        var find = new FindCircuitRequest { Model = "models/1", Task = task, Threshold = 0.1 };
        var found = await circuits.FindCircuitAsync(find);
        Assert.Equal([graph.Senders.Count, graph.Receivers.Count], found.Mask.Value.Shape.Select(n => (int)n));
        using (var call = progress.FollowCall(new FollowCallRequest { Method = "interopinterp.v1.CircuitService/FindCircuit", Request = Google.Protobuf.MessageExtensions.ToByteString(find) }))
        {
            var told = await call.ResponseStream.ReadAllAsync().ToListAsync();
            Assert.Equal(graph.Reaching.Sum(), told[^2].Progress.Done);
            Assert.Equal(found, FindCircuitResponse.Parser.ParseFrom(told[^1].Response));
        }
        var circuit = new Circuit { Mask = found.Mask };
        var judged = await circuits.EvaluateCircuitsAsync(new EvaluateCircuitsRequest { Model = "models/1", Task = task, Circuits = { circuit } });
        Assert.Equal(found.Distance, Math.Abs(judged.Circuits[0].Value - judged.Whole), 1e-4);
        Assert.Single((await circuits.KnockOutNodesAsync(new KnockOutNodesRequest { Model = "models/1", Task = task, Circuit = circuit, Knockouts = { new SenderSet { Senders = { "m1" } } } })).Knockouts);
        Assert.Equal(judged.Circuits[0].Nodes, (await circuits.MeasureNodesAsync(new MeasureNodesRequest { Model = "models/1", Task = task, Circuit = circuit })).Nodes.Count);
    }

    private static async Task Weights(WeightService.WeightServiceClient weights, HeadService.HeadServiceClient heads, LensService.LensServiceClient lenses)
    {
        var head = new HeadName { Layer = 0, Head = 1 };
        Assert.Equal([3L, 4, 4], (await weights.GetEigenvaluesAsync(new GetEigenvaluesRequest { Model = "models/1" })).Real.Value.Shape);
        Assert.True((await weights.ScoreCompositionAsync(new ScoreCompositionRequest { Model = "models/1", Kind = CompositionKind.V })).BaselineMean > 0);
        Assert.Null((await weights.GetVirtualHeadAsync(new GetVirtualHeadRequest { Model = "models/1", Heads = { head } })).Pattern);
        Assert.Equal([29L, 4], (await weights.GetSingularDirectionsAsync(new GetSingularDirectionsRequest { Model = "models/1", Source = DirectionSource.Ov, Count = 4 })).Logits.Value.Shape);
        Assert.Equal(20, (await weights.ListTopEntriesAsync(new ListTopEntriesRequest { Model = "models/1", Heads = { head } })).Entries.Count);
        Assert.Equal(29, (await weights.ListBigramsAsync(new ListBigramsRequest { Model = "models/1" })).Bigrams.Count);
        Assert.Equal(5, (await weights.ListSkipTrigramsAsync(new ListSkipTrigramsRequest { Model = "models/1" })).Trigrams.Count);
        var refused = await Assert.ThrowsAsync<RpcException>(async () => await weights.MeasureTermsAsync(new MeasureTermsRequest { Model = "models/1", Rows = { Row(1, 2, 3) } }));
        Assert.Equal(StatusCode.FailedPrecondition, refused.StatusCode);
        Assert.Equal([3L, 4], (await heads.DetectHeadsAsync(new DetectHeadsRequest { Model = "models/1", Rows = { Row(1, 2, 1) }, Kind = "induction_head" })).Scores.Value.Shape);
        Assert.Equal([3L, 4], (await heads.ScoreHeadsAsync(new ScoreHeadsRequest { Model = "models/1", Segments = { new IndexList { Values = { 1, 2, 3 } } } })).Copying.Value.Shape);
        Assert.Equal([3L, 1, 4, 3, 3], (await heads.WeighAttentionAsync(new WeighAttentionRequest { Model = "models/1", Plan = new Plan { Rows = { Row(1, 2, 3) } } })).Weights.Value.Shape);
        var lens = await lenses.TrainTunedLensAsync(new TrainTunedLensRequest { Model = "models/1", Rows = { Row(1, 2, 3) }, Options = new TunedLensOptions { Steps = 2 } });
        Assert.Equal((2, 6), (lens.Losses.Count, lens.Translators.Count));
    }

    private static async Task Tensors(TensorService.TensorServiceClient tensors, ModelService.ModelServiceClient models)
    {
        using var upload = tensors.CreateTensor();
        await upload.RequestStream.WriteAsync(new CreateTensorRequest { Header = new TensorHeader { DataType = DataType.Int32, Shape = { 2 } } });
        await upload.RequestStream.WriteAsync(new CreateTensorRequest { Chunk = Google.Protobuf.ByteString.CopyFrom(1, 0, 0, 0, 2, 0, 0, 0) });
        await upload.RequestStream.CompleteAsync();
        var name = (await upload).Tensor.Name;
        Assert.Equal(8, (await tensors.GetTensorAsync(new GetTensorRequest { Name = name })).Tensor.ByteSize);
        using (var read = tensors.ReadTensor(new ReadTensorRequest { Name = name }))
            Assert.Equal([1, 0, 0, 0, 2, 0, 0, 0], (await read.ResponseStream.ReadAllAsync().ToListAsync()).SelectMany(m => m.Chunk));
        var path = (await tensors.MapTensorAsync(new MapTensorRequest { Name = name })).Path;
        Assert.Equal([1, 0, 0, 0, 2, 0, 0, 0], await File.ReadAllBytesAsync(path));
        await tensors.UnmapTensorAsync(new UnmapTensorRequest { Name = name });
        Assert.False(File.Exists(path));
        await tensors.DeleteTensorsAsync(new DeleteTensorsRequest { Names = { name } });
    }

    private static async Task Dictionaries(DictionaryService.DictionaryServiceClient dictionaries)
    {
        var loaded = (await dictionaries.LoadDictionaryAsync(new LoadDictionaryRequest { Path = "sae" })).Dictionary;
        Assert.Equal(loaded, (await dictionaries.GetDictionaryAsync(new GetDictionaryRequest { Name = loaded.Name })).Dictionary);
        var x = new Protocol.V1.Tensor { Value = new TensorData { DataType = DataType.Float32, Shape = { 2 }, Data = Google.Protobuf.ByteString.CopyFrom(0, 0, 128, 63, 0, 0, 0, 64) } };
        var codes = (await dictionaries.EncodeAsync(new EncodeRequest { Dictionary = loaded.Name, Activations = x })).Codes;
        Assert.Equal(x.Value.Data, codes.Value.Data);
        Assert.Equal(x.Value.Data, (await dictionaries.DecodeAsync(new DecodeRequest { Dictionary = loaded.Name, Codes = codes })).Activations.Value.Data);
        Assert.Equal([2L, 2L], (await dictionaries.GetDictionaryWeightsAsync(new GetDictionaryWeightsRequest { Dictionary = loaded.Name })).Weights["W_dec"].Value.Shape);
        await dictionaries.CloseDictionaryAsync(new CloseDictionaryRequest { Name = loaded.Name });
    }

    private static void Dictionary(string folder)
    {
        using var scope = NewDisposeScope();
        using var dictionary = new SparseDictionary(
            new DictionaryConfig { InputWidth = 2, Width = 2 }, new DictionaryWeights(eye(2), zeros(2), eye(2), zeros(2)), new Standard());
        SaeLensFolder.Save(dictionary, Path.Combine(folder, "sae"));
    }
}
