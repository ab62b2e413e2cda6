using System.Runtime.InteropServices;
using Google.Protobuf;
using InteropInterp.Dictionaries;
using InteropInterp.Models;
using InteropInterp.Plans.Execution;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.Methods;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Protocol.Tests.Handlers;

/// <summary>The handlers as a client in this process has them: bytes in, bytes out, functions that are called back.</summary>
internal sealed class InProcess : IClientCallbacks, IDisposable
{
    private readonly MethodTable methods;
    private readonly Dictionary<long, Func<byte[], IMessage?>> functions = [];

    public InProcess(TensorStoreOptions? tensors = null, ExecutionOptions? execution = null, long? modelBytes = null, bool hasCallbacks = true,
        string device = "cpu")
    {
        Tensors = new TensorStore(tensors ?? new TensorStoreOptions());
        Session = new Session("test", Tensors);
        HasCallbacks = hasCallbacks;
        methods = new MethodTable(new Workspace
        {
            Tensors = Tensors, Work = new CallerWork(), Models = Models = new ModelStore(modelBytes), Dictionaries = new DictionaryStore(), Options = execution ?? new(),
            IsInProcess = hasCallbacks, Device = device,
        });
    }

    public TensorStore Tensors { get; }
    public Session Session { get; }
    public ModelStore Models { get; }
    public bool HasCallbacks { get; }

    /// <summary>Calls the method that takes such a request.</summary>
    public TResponse Call<TResponse>(IMessage request)
        where TResponse : class, IMessage<TResponse>, new()
    {
        var method = methods.Unary.Single(m => m.Descriptor.InputType == request.Descriptor);
        return Messages.Parse<TResponse>(method.Invoke(request.ToByteArray(), new HandlerContext(Session) { Callbacks = HasCallbacks ? this : null }));
    }

    public string Refused(IMessage request) => Error(request).Reason;

    public InterpException Error(IMessage request) => Assert.Throws<InterpException>(() => Call<EndSessionResponse>(request));

    /// <summary>A tiny model with random weights.</summary>
    public string Model(int seed = 5) => Call<CreateModelResponse>(new CreateModelRequest { ConfigJson = TinyModel.Json(seed) }).Model.Name;

    /// <summary>The number of a function that takes a message.</summary>
    public long Function<TRequest>(Func<TRequest, IMessage?> function)
        where TRequest : class, IMessage<TRequest>, new()
    {
        functions[functions.Count + 1] = bytes => function(Messages.Parse<TRequest>(bytes));
        return functions.Count;
    }

    public byte[] Invoke(long id, IMessage request) => functions[id](request.ToByteArray())?.ToByteArray() ?? [];

    /// <summary>The tensor of a reference, as the current scope's own.</summary>
    public TorchSharp.torch.Tensor Get(TensorRef reference) => Tensors.Get(Session, reference.Name);

    /// <summary>The numbers of a tensor that came back, by reference or by value.</summary>
    public float[] Floats(V1.Tensor tensor)
    {
        if (tensor.Value is { } value) return MemoryMarshal.Cast<byte, float>(value.Data.Span).ToArray();
        using var scope = TorchSharp.torch.NewDisposeScope();
        return Get(tensor.Ref).contiguous().data<float>().ToArray();
    }

    public static Row Row(params int[] tokens) => new() { Tokens = { tokens } };

    public static V1.Tensor Value(params float[] values) => new()
    {
        Value = new TensorData { DataType = DataType.Float32, Shape = { values.Length }, Data = ByteString.CopyFrom(MemoryMarshal.AsBytes(values.AsSpan())) },
    };

    public void Dispose()
    {
        Session.Dispose();
        Tensors.Dispose();
    }
}
