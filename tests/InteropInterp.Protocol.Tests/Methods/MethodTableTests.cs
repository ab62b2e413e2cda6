using Google.Protobuf.Reflection;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.Methods;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Protocol.Tests.Methods;

public class MethodTableTests
{
    private readonly TensorStore tensors = new(new TensorStoreOptions());
    private readonly MethodTable table;

    public MethodTableTests()
    {
        table = new MethodTable(new Workspace { Tensors = tensors, Work = new CallerWork(), IsInProcess = true });
    }

    [Fact]
    public void Every_method_of_the_protos_that_does_not_stream_has_its_handler()
    {
        var services = new[] { ModelService.Descriptor, TokenService.Descriptor, RunService.Descriptor, AnalysisService.Descriptor, CircuitService.Descriptor, WeightService.Descriptor, HeadService.Descriptor, LensService.Descriptor, ProgressService.Descriptor, TensorService.Descriptor, DictionaryService.Descriptor, StreamService.Descriptor, NeuronService.Descriptor, ServerService.Descriptor };
        var declared = services.SelectMany(s => s.Methods).Where(m => !m.IsClientStreaming && !m.IsServerStreaming).Select(m => $"{m.Service.FullName}/{m.Name}");
        Assert.Equal(declared.Order(), table.Unary.Select(m => m.FullName).Order());
        Assert.Equal(typeof(Plan).Assembly.GetTypes().Count(t => t.Namespace == typeof(Plan).Namespace && t.Name.EndsWith("Service", StringComparison.Ordinal)), services.Length);
    }

    [Fact]
    public void Methods_that_take_tensors_are_those_whose_requests_may_hold_values()
    {
        bool Holds(MessageDescriptor type, HashSet<string> seen) => type == TensorData.Descriptor || (seen.Add(type.FullName)
            && type.Fields.InDeclarationOrder().Any(f => f.FieldType == FieldType.Message && Holds(f.MessageType, seen)));
        foreach (var method in table.Unary) Assert.Equal((method.FullName, Holds(method.Descriptor.InputType, [])), (method.FullName, method.TakesTensors));
    }

    [Fact]
    public void What_is_no_message_is_the_callers_error()
    {
        var method = table.Unary.Single(m => m.Descriptor.Name == "RunPlan");
        var context = new HandlerContext(new Session("a", tensors));
        var error = Assert.Throws<InterpException>(() => method.Invoke([0x0a, 0xff, 0x01], context));
        Assert.Equal((ErrorCode.InvalidArgument, "MALFORMED_MESSAGE"), (error.Code, error.Reason));
        Assert.Contains("RunPlanRequest", error.Message);
        Assert.Equal("UNKNOWN_FIELD", Assert.Throws<InterpException>(() => method.Invoke([0xf8, 0x7c, 0x01], context)).Reason);
    }
}
