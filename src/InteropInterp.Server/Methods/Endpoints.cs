using Google.Protobuf;
using Google.Protobuf.Reflection;
using Grpc.AspNetCore.Server.Model;
using Grpc.Core;
using InteropInterp.Protocol.Methods;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Calls;
using InteropInterp.Server.Sessions;
using Microsoft.Extensions.Hosting;

namespace InteropInterp.Server.Methods;

/// <summary>Methods whose requests hold tensors, and may be large.</summary>
internal sealed class LargeRequests;

/// <summary>All other methods.</summary>
internal sealed class SmallRequests;

/// <summary>Offers the table of methods, and the streaming ones that are made of the same handlers, over gRPC.</summary>
internal sealed class Endpoints<TService>(MethodTable table, CallGate gate, SessionRegistry sessions, IHostApplicationLifetime lifetime) : IServiceMethodProvider<TService>
    where TService : class
{
    private static readonly bool IsLarge = typeof(TService) == typeof(LargeRequests);

    public void OnServiceMethodDiscovery(ServiceMethodProviderContext<TService> context)
    {
        var binder = new Binder(context, gate);
        foreach (var method in table.Unary)
            if (method.TakesTensors == IsLarge) method.Bind(binder);
        if (IsLarge)
        {
            var runs = new RunStreams(table, gate);
            context.AddServerStreamingMethod(Of<RunPlanRequest, StreamPlanResponse>(RunService.Descriptor, "StreamPlan"), [], (_, request, writer, call) => runs.StreamPlan(request, writer, call));
            context.AddServerStreamingMethod(Of<RunSweepRequest, StreamSweepResponse>(RunService.Descriptor, "StreamSweep"), [], (_, request, writer, call) => runs.StreamSweep(request, writer, call));
            context.AddDuplexStreamingMethod(Of<CallbackSweepRequest, CallbackSweepResponse>(RunService.Descriptor, "CallbackSweep"), [], (_, reader, writer, call) => runs.CallbackSweep(reader, writer, call));
            context.AddServerStreamingMethod(Of<FollowCallRequest, FollowCallResponse>(ProgressService.Descriptor, "FollowCall"), [], (_, request, writer, call) => runs.FollowCall(request, writer, call));
            return;
        }
        var tensors = new TensorStreams(table.Tensors, gate);
        context.AddServerStreamingMethod(
            Of(TensorService.Descriptor, "ReadTensor", Marshalling.Of<ReadTensorRequest>(), TensorMarshalling.Outgoing), [], (_, request, writer, call) => tensors.ReadTensor(request, writer, call));
        context.AddClientStreamingMethod(
            Of(TensorService.Descriptor, "CreateTensor", TensorMarshalling.Incoming, Marshalling.Of<CreateTensorResponse>()), [], (_, reader, call) => tensors.CreateTensor(reader, call));
        var keeping = new SessionStreams(gate, sessions, lifetime);
        context.AddServerStreamingMethod(Of<KeepSessionRequest, KeepSessionResponse>(ServerService.Descriptor, "KeepSession"), [], (_, request, writer, call) => keeping.KeepSession(request, writer, call));
    }

    private static Method<TRequest, TResponse> Of<TRequest, TResponse>(ServiceDescriptor service, string name)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new() => Of(service, name, Marshalling.Of<TRequest>(), Marshalling.Of<TResponse>());

    private static Method<TRequest, TResponse> Of<TRequest, TResponse>(
        ServiceDescriptor service, string name, Marshaller<TRequest> request, Marshaller<TResponse> response)
        where TRequest : class
        where TResponse : class
    {
        var method = service.FindMethodByName(name);
        var type = (method.IsClientStreaming, method.IsServerStreaming) switch
        {
            (false, false) => MethodType.Unary,
            (true, false) => MethodType.ClientStreaming,
            (false, true) => MethodType.ServerStreaming,
            _ => MethodType.DuplexStreaming,
        };
        return new Method<TRequest, TResponse>(type, service.FullName, name, request, response);
    }

    private sealed class Binder(ServiceMethodProviderContext<TService> context, CallGate gate) : IMethodBinder
    {
        public void Add<TRequest, TResponse>(UnaryMethod<TRequest, TResponse> method)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse>, new() =>
            context.AddUnaryMethod(
                Of<TRequest, TResponse>(method.Descriptor.Service, method.Descriptor.Name), [],
                (_, request, call) => gate.Run(call, handler => method.Invoke(request, handler)));
    }
}
