using Google.Protobuf;
using Grpc.Core;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Tests.Support;
using static InteropInterp.Server.Tests.Support.TestClient;

namespace InteropInterp.Server.Tests;

public class FuzzTests
{
    private static readonly Marshaller<byte[]> Raw = Marshallers.Create(bytes => bytes, bytes => bytes);

    // What a server may answer to nonsense: never that it broke.
    private static readonly StatusCode[] Sane =
    [
        StatusCode.OK, StatusCode.InvalidArgument, StatusCode.NotFound, StatusCode.OutOfRange, StatusCode.FailedPrecondition, StatusCode.Unimplemented,
        StatusCode.ResourceExhausted, StatusCode.PermissionDenied, StatusCode.DataLoss,
    ];

    private const int Messages = 2000;

    [Fact]
    public async Task Nonsense_is_refused_and_harms_nothing()
    {
        await using var server = await TestServer.Start(o => o with { Limits = o.Limits with { ModelBytes = 1 << 20, Execution = new() { MemoryLimit = 64 << 20 } } });
        using var client = server.Connect();
        var model = await client.Model();
        var sane = new RunPlanRequest
        {
            Model = model,
            Plan = new Plan
            {
                Rows = { Row(1, 2, 3), Row(4) }, Seed = 3, Outputs = new Outputs { Logits = LogitsWanted.All },
                Captures = { new Capture { Point = "blocks.*.attn.hook_z", Where = new Selector { Heads = new Positions { Indices = new IndexList { Values = { 1 } } } } } },
                Interventions = { new Intervention { Point = "hook_embed", Scale = new ScaleOp { Factor = 2 } } },
                Objective = new Objective { Metric = new Metric { LogProb = new LogProbMetric { Tokens = { 1 } } } },
                Generation = null,
            },
        };
        var expected = await client.Runs.RunPlanAsync(sane);
        var seeds = new IMessage[]
        {
            sane, LongSweep.Of(model, 1), new CreateModelRequest { ConfigJson = TinyModel.Json() }, new TokenizeRequest { Model = model, Texts = { "abc" } },
            new ReadTensorRequest { Name = "tensors/1", Ranges = { new AxisRange { Stop = 3 } } }, new GetWeightsRequest { Model = model, Names = { "*" } },
        }.Select(m => m.ToByteArray()).ToArray();
        var methods = new[] { ModelService.Descriptor, TokenService.Descriptor, RunService.Descriptor, TensorService.Descriptor, DictionaryService.Descriptor, ServerService.Descriptor }
            .SelectMany(s => s.Methods).Where(m => !m.IsClientStreaming && m.Name != "KeepSession" && m.Name != "SaveModel").ToList();
        // A fixed sequence, so that a failure can be looked at again.
        var random = new Random(20260102);
        var answers = new Dictionary<StatusCode, int>();
        for (var i = 0; i < Messages; i++)
        {
            var described = methods[random.Next(methods.Count)];
            var method = new Method<byte[], byte[]>(
                described.IsServerStreaming ? MethodType.ServerStreaming : MethodType.Unary, described.Service.FullName, described.Name, Raw, Raw);
            var bytes = Broken(random, seeds[random.Next(seeds.Length)]);
            var status = await Call(client.Invoker, method, bytes);
            answers[status] = answers.GetValueOrDefault(status) + 1;
            Assert.True(Sane.Contains(status), $"{described.FullName} answers {status} to {Convert.ToHexString(bytes)}");
        }
        foreach (var status in new[] { StatusCode.OK, StatusCode.InvalidArgument, StatusCode.NotFound }) Assert.True(answers.GetValueOrDefault(status) > 0, $"no {status}");
        // CloseModel may have been among it.
        sane.Model = await client.Model();
        Assert.Equal(expected, await client.Runs.RunPlanAsync(sane));
    }

    private static async Task<StatusCode> Call(CallInvoker invoker, Method<byte[], byte[]> method, byte[] request)
    {
        try
        {
            var options = new CallOptions(deadline: DateTime.UtcNow.AddSeconds(20));
            if (method.Type == MethodType.Unary)
            {
                await invoker.AsyncUnaryCall(method, null, options, request);
                return StatusCode.OK;
            }
            using var call = invoker.AsyncServerStreamingCall(method, null, options, request);
            while (await call.ResponseStream.MoveNext(default))
            {
            }
            return StatusCode.OK;
        }
        catch (RpcException e)
        {
            return e.StatusCode;
        }
    }

    // Cut off, bytes changed, bytes put in, or nothing but noise.
    private static byte[] Broken(Random random, byte[] bytes)
    {
        switch (random.Next(5))
        {
            case 0:
                var noise = new byte[random.Next(60)];
                random.NextBytes(noise);
                return noise;
            case 1:
                return bytes[..random.Next(bytes.Length + 1)];
            default:
                var copy = bytes.ToList();
                for (var i = random.Next(1, 6); i > 0; i--)
                {
                    var at = random.Next(copy.Count);
                    if (random.Next(3) == 0) copy.Insert(at, (byte)random.Next(256));
                    else copy[at] = (byte)random.Next(256);
                }
                return [.. copy];
        }
    }
}
