using Google.Protobuf;
using Google.Protobuf.Reflection;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Handlers;

namespace InteropInterp.Protocol.Methods;

/// <summary>A method with one request and one response, as every door offers it.</summary>
public abstract class UnaryMethod
{
    private protected UnaryMethod(ServiceDescriptor service, string name)
    {
        Descriptor = service.FindMethodByName(name) ?? throw new InvalidOperationException($"{service.FullName} has no method {name}.");
    }

    public MethodDescriptor Descriptor { get; }

    /// <summary>As gRPC writes it, without the slash in front: interopinterp.v1.RunService/RunPlan.</summary>
    public string FullName => $"{Descriptor.Service.FullName}/{Descriptor.Name}";

    /// <summary>Whether its requests may hold tensors, and so be large.</summary>
    public bool TakesTensors { get; init; }

    /// <summary>Whether it makes sense for a client in this process.</summary>
    public bool IsForProcess { get; init; } = true;

    /// <summary>A call from bytes to bytes, for a door whose work runs on the calling thread.</summary>
    /// <exception cref="InterpException">MALFORMED_MESSAGE, UNKNOWN_FIELD, and the handler's.</exception>
    public abstract byte[] Invoke(ReadOnlySpan<byte> request, HandlerContext context);

    /// <summary>A call from bytes to bytes, for a door whose work has threads of its own.</summary>
    /// <exception cref="InterpException">As <see cref="Invoke(ReadOnlySpan{byte}, HandlerContext)"/>.</exception>
    public abstract Task<ByteString> InvokeAsync(ByteString request, HandlerContext context);

    /// <summary>Hands the method, with its types, to somebody who binds it.</summary>
    public abstract void Bind(IMethodBinder binder);
}

/// <summary>Binds methods to a door.</summary>
public interface IMethodBinder
{
    void Add<TRequest, TResponse>(UnaryMethod<TRequest, TResponse> method)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new();
}

/// <inheritdoc/>
public sealed class UnaryMethod<TRequest, TResponse>(
    ServiceDescriptor service, string name, Func<TRequest, HandlerContext, ValueTask<TResponse>> handler) : UnaryMethod(service, name)
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    /// <exception cref="InterpException">UNKNOWN_FIELD, and the handler's.</exception>
    public ValueTask<TResponse> Invoke(TRequest request, HandlerContext context)
    {
        UnknownFields.Refuse(request);
        return handler(request, context);
    }

    /// <inheritdoc/>
    public override byte[] Invoke(ReadOnlySpan<byte> request, HandlerContext context)
    {
        var call = Invoke(Messages.Parse<TRequest>(request), context);
        return (call.IsCompleted ? call.Result : call.AsTask().GetAwaiter().GetResult()).ToByteArray();
    }

    /// <inheritdoc/>
    public override async Task<ByteString> InvokeAsync(ByteString request, HandlerContext context) =>
        (await Invoke(Messages.Parse<TRequest>(request.Span), context).ConfigureAwait(false)).ToByteString();

    /// <inheritdoc/>
    public override void Bind(IMethodBinder binder) => binder.Add(this);
}
