using Google.Protobuf;
using InteropInterp.Models;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.Methods;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Tests.Support;
using static InteropInterp.Server.Tests.Support.TestClient;
using Tensor = InteropInterp.Protocol.V1.Tensor;

namespace InteropInterp.Server.Tests;

public class DoorsTests
{
    private static readonly Intervention[] Interventions =
    [
        new() { Point = "blocks.0.hook_attn_out", Scale = new ScaleOp { Factor = 0.25 }, Where = new Selector { Positions = new Positions { Slice = new Slice { Start = 1 } } } },
        new() { Point = "blocks.1.hook_resid_pre", PatchFrom = new PatchFromOp { Source = "clean" } },
        new() { Point = "blocks.*.hook_mlp_out", Mean = new MeanOp { Source = "clean", OverPositions = true }, Where = new Selector { Rows = new Positions { Indices = new IndexList { Values = { 1 } } } } },
    ];

    private static Plan Base => new() { Rows = { Row(4, 8, 15, 16), Row(23, 4, 2, 1) } };

    private static IEnumerable<Plan> Plans()
    {
        yield return Base.Also(p => p.Outputs = new Outputs { Logits = LogitsWanted.All, Loss = true, LossPerToken = true });
        yield return Base.Also(p =>
        {
            p.Captures.Add(new Capture { Point = "*" });
            p.Interventions.Add(Interventions);
            p.Sources["clean"] = new Plan { Rows = { Row(7, 7, 7, 7), Row(1, 2, 3, 4) } };
        });
        yield return Base.Also(p =>
        {
            p.Objective = new Objective { Metric = new Metric { LogitDiff = new LogitDiffMetric { Correct = { 3 }, Incorrect = { 4, 5 } } } };
            p.Captures.Add(new Capture { Point = "blocks.*.hook_resid_pre", Gradient = true });
        });
        yield return new Plan { Rows = { Row(1), Row(2, 3, 4) }, Generation = new Protocol.V1.Generation { MaxNewTokens = 6, Sample = true }, Seed = 11, Captures = { new Capture { Point = "hook_embed" } } };
        yield return Base.Also(p => p.StopAtLayer = 2);
    }

    [Fact]
    public async Task The_same_plan_gives_the_same_bytes_through_every_door()
    {
        await using var server = await TestServer.Start();
        using var port = server.Connect();
        using var socket = server.Connect(server.Socket);
        using var local = new LocalDoor();
        var (far, near, here) = (await port.Model(), await socket.Model(), local.Model());
        foreach (var plan in Plans())
        {
            var expected = local.Run(here, plan);
            Assert.Equal(expected, await Run(port, far, plan, inlineLimit: 0));
            Assert.Equal(expected, await Run(socket, near, plan, inlineLimit: 1 << 20));
        }
    }

    private static async Task<RunPlanResponse> Run(TestClient client, string model, Plan plan, long inlineLimit)
    {
        var response = await client.Runs.RunPlanAsync(new RunPlanRequest { Model = model, Plan = plan, InlineLimitBytes = inlineLimit });
        foreach (var tensor in Tensors(response).Where(t => t.Ref is not null))
        {
            var told = tensor.Ref;
            tensor.Value = new TensorData { DataType = told.DataType, Shape = { told.Shape }, Data = ByteString.CopyFrom(await client.Bytes(tensor)) };
        }
        return response;
    }

    private static IEnumerable<Tensor> Tensors(RunPlanResponse response) =>
        new[] { response.Logits, response.LossPerToken, response.Residual, response.Metric }.Concat(response.Captures.Select(c => c.Tensor)).OfType<Tensor>();

    /// <summary>The in-process door's table, without Python.</summary>
    private sealed class LocalDoor : IDisposable
    {
        private readonly TensorStore tensors = new(new TensorStoreOptions());
        private readonly Session session;
        private readonly MethodTable methods;

        public LocalDoor()
        {
            session = new Session("local", tensors);
            methods = new MethodTable(new Workspace { Tensors = tensors, Work = new CallerWork(), Models = new ModelStore(), IsInProcess = true });
        }

        public string Model() => Call<CreateModelResponse>(new CreateModelRequest { ConfigJson = TinyModel.Json() }).Model.Name;

        public RunPlanResponse Run(string model, Plan plan)
        {
            var response = Call<RunPlanResponse>(new RunPlanRequest { Model = model, Plan = plan });
            using var scope = TorchSharp.torch.NewDisposeScope();
            foreach (var tensor in Tensors(response)) tensor.Value = Protocol.Mapping.TensorMapping.ToProto(tensors.Get(session, tensor.Ref.Name));
            return response;
        }

        public void Dispose()
        {
            session.Dispose();
            tensors.Dispose();
        }

        private T Call<T>(IMessage request)
            where T : class, IMessage<T>, new() => Messages.Parse<T>(
                methods.Unary.Single(m => m.Descriptor.InputType == request.Descriptor).Invoke(request.ToByteArray(), new HandlerContext(session)));
    }
}
