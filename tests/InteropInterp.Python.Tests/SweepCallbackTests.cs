using Google.Protobuf;
using InteropInterp.Protocol.V1;
using InteropInterp.TestKit;

namespace InteropInterp.Python.Tests;

/// <summary>A sweep whose metric is a Python function: what its failures do to the call, and to the next.</summary>
public class SweepCallbackTests
{
    private const long Metric = 7;

    private static Door Open()
    {
        var table = new CallTable();
        var door = FakePython.Open(table);
        ProtocolMethods.Register(table, door);
        return door;
    }

    private static int Call(Door door, string method, IMessage request, out byte[] reply)
    {
        var code = door.Call(door.NumberOf($"interopinterp.v1.{method}"), request.ToByteArray(), out reply, out var pending);
        door.Host.Drop(pending);
        return code;
    }

    private static RunSweepRequest Sweep(string model) => new()
    {
        Model = model,
        Sweep = new Sweep
        {
            Base = new Plan { Rows = { new Row { Tokens = { 1, 2, 3 } } } }, Zero = new ZeroOp(), Grid = "attn_head_out_all_pos", Callback = new CallbackOp { Id = Metric },
        },
    };

    private static byte[] Answer(double value) => new MetricReply { Value = value }.ToByteArray();

    [Fact]
    public void A_metric_that_fails_ends_the_call_as_itself_and_leaves_the_door_usable()
    {
        var door = Open();
        Assert.Equal(0, Call(door, "ModelService/CreateModel", new CreateModelRequest { ConfigJson = TinyModel.Json() }, out var reply));
        var model = CreateModelResponse.Parser.ParseFrom(reply).Model.Name;
        var calls = 0;

        // At every call it may fail: the base run's, the probe's, a cell's.
        for (var failing = 1; failing <= 3; failing++)
        {
            calls = 0;
            FakePython.Callable = (_, _) => ++calls == failing ? null : Answer(1);
            Assert.Equal((Door.CallbackFailed, failing), (Call(door, "RunService/RunSweep", Sweep(model), out reply), calls));
            Assert.Empty(reply);
        }

        // A client that takes a failure at the probe for an answer, as the Python package does, has its sweep.
        FakePython.Callable = (_, request) =>
        {
            var question = MetricCall.Parser.ParseFrom(request);
            calls++;
            return Answer(question.IsProbe ? double.NaN : 2);
        };
        calls = 0;
        Assert.Equal(0, Call(door, "RunService/RunSweep", Sweep(model), out reply));
        var result = RunSweepResponse.Parser.ParseFrom(reply);
        Assert.Equal((12 + 2, 2.0), (calls, result.Baseline));
        Assert.All(result.Values, value => Assert.Equal(2, value));
        Assert.Equal(0, door.Tensors.Count);
        Assert.Equal(0, Call(door, "ModelService/CloseModel", new CloseModelRequest { Name = model }, out _));
    }
}
