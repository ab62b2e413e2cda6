using System.Net.Sockets;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Server.Tests.Support;

/// <summary>A gRPC client with a session of its own.</summary>
internal sealed class TestClient : IDisposable
{
    private readonly GrpcChannel channel;

    public TestClient(string address, string? session, string? token)
    {
        var handler = new SocketsHttpHandler { EnableMultipleHttp2Connections = false };
        if (address.StartsWith("unix://", StringComparison.Ordinal))
        {
            var end = new UnixDomainSocketEndPoint(address["unix://".Length..]);
            handler.ConnectCallback = async (_, cancellation) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(end, cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            };
            address = "http://localhost";
        }
        channel = GrpcChannel.ForAddress(address.Replace("grpc://", "http://", StringComparison.Ordinal), new GrpcChannelOptions
        {
            HttpHandler = handler, DisposeHttpClient = true, MaxReceiveMessageSize = null, MaxSendMessageSize = null,
        });
        Invoker = channel.Intercept(metadata =>
        {
            if (session is not null) metadata.Add("interopinterp-session", session);
            if (token is not null) metadata.Add("authorization", $"Bearer {token}");
            return metadata;
        });
        Models = new(Invoker);
        Tokens = new(Invoker);
        Runs = new(Invoker);
        Tensors = new(Invoker);
        Dictionaries = new(Invoker);
        Server = new(Invoker);
    }

    public CallInvoker Invoker { get; }
    public GrpcChannel Channel => channel;
    public ModelService.ModelServiceClient Models { get; }
    public TokenService.TokenServiceClient Tokens { get; }
    public RunService.RunServiceClient Runs { get; }
    public TensorService.TensorServiceClient Tensors { get; }
    public DictionaryService.DictionaryServiceClient Dictionaries { get; }
    public ServerService.ServerServiceClient Server { get; }

    /// <summary>A tiny model with random weights.</summary>
    public async Task<string> Model(int seed = 5) => (await Models.CreateModelAsync(new CreateModelRequest { ConfigJson = TinyModel.Json(seed) })).Model.Name;

    /// <summary>The error that a call ends with.</summary>
    public static async Task<InterpException> Error(Func<Task> call) => ErrorMapping.ToInterp(await Assert.ThrowsAsync<RpcException>(call));

    public static async Task<InterpException> Error<T>(AsyncUnaryCall<T> call) => await Error(async () => await call);

    public async Task<TensorRef> Upload(DataType type, long[] shape, byte[] bytes, int chunk = 1000)
    {
        using var call = Tensors.CreateTensor();
        try
        {
            await call.RequestStream.WriteAsync(new CreateTensorRequest { Header = new TensorHeader { DataType = type, Shape = { shape } } });
            foreach (var part in bytes.Chunk(chunk)) await call.RequestStream.WriteAsync(new CreateTensorRequest { Chunk = ByteString.CopyFrom(part) });
            await call.RequestStream.CompleteAsync();
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.Cancelled)
        {
            // Refused before all of it was sent: the call itself says why.
        }
        return (await call).Tensor;
    }

    public async Task<byte[]> Read(ReadTensorRequest request)
    {
        using var call = Tensors.ReadTensor(request);
        var bytes = new MemoryStream();
        await foreach (var message in call.ResponseStream.ReadAllAsync())
        {
            Assert.Equal(request.Offset + bytes.Length, message.Offset);
            Assert.Equal(bytes.Length == 0 && message.Chunk.IsEmpty, message.Tensor is not null);
            bytes.Write(message.Chunk.Span);
        }
        return bytes.ToArray();
    }

    /// <summary>The bytes of a result, by reference or by value.</summary>
    public async Task<byte[]> Bytes(Tensor tensor) => tensor.Value is { } value ? value.Data.ToByteArray() : await Read(new ReadTensorRequest { Name = tensor.Ref.Name });

    public async Task<float[]> Floats(Tensor tensor) => MemoryMarshal.Cast<byte, float>(await Bytes(tensor)).ToArray();

    public static Row Row(params int[] tokens) => new() { Tokens = { tokens } };

    public void Dispose() => channel.Dispose();
}
