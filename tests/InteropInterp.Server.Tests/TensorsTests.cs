using System.Diagnostics;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Tests.Support;
using static InteropInterp.Server.Tests.Support.TestClient;

namespace InteropInterp.Server.Tests;

public class TensorsTests
{
    private static float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(i => i * 0.5f)];

    private static byte[] Bytes(float[] numbers) => MemoryMarshal.AsBytes(numbers.AsSpan()).ToArray();

    [Theory]
    [InlineData(1)]
    [InlineData(127)]
    [InlineData(128)]
    [InlineData(65_536)]
    [InlineData(1 << 20)]
    public async Task What_is_uploaded_in_any_chunks_is_what_is_read(int chunk)
    {
        await using var server = await TestServer.Start();
        using var client = server.Connect();
        var bytes = Bytes(Numbers(chunk == 1 ? 30 : 300_000 / 4 * 4))[..(chunk == 1 ? 120 : 1_200_000)];
        var told = await client.Upload(DataType.Float32, [bytes.Length / 12, 3], bytes, chunk);
        Assert.Equal((bytes.Length, DataType.Float32, "cpu"), (told.ByteSize, told.DataType, told.Device));
        Assert.Equal(bytes, await client.Read(new ReadTensorRequest { Name = told.Name }));
    }

    [Fact]
    public async Task A_slice_in_another_type_from_any_byte_is_what_travels()
    {
        await using var server = await TestServer.Start();
        using var client = server.Connect();
        var told = await client.Upload(DataType.Float32, [10, 20, 30], Bytes(Numbers(6000)));
        var request = new ReadTensorRequest
        {
            Name = told.Name, DataType = DataType.Float64, Ranges = { new AxisRange { Start = 2, Stop = 4 }, new AxisRange { Start = 1, Stop = 20, Step = 5 } },
        };
        var whole = await client.Read(request);
        var expected = from a in Enumerable.Range(2, 2) from b in new[] { 1, 6, 11, 16 } from c in Enumerable.Range(0, 30) select (double)(a * 600 + b * 30 + c) * 0.5;
        Assert.Equal(expected, MemoryMarshal.Cast<byte, double>(whole).ToArray());
        request.Offset = 1001;
        Assert.Equal(whole[1001..], await client.Read(request));
        using var call = client.Tensors.ReadTensor(request);
        Assert.True(await call.ResponseStream.MoveNext(default));
        Assert.Equal([2L, 4L, 30L], call.ResponseStream.Current.Tensor.Shape);
        Assert.Equal((DataType.Float64, 1920L), (call.ResponseStream.Current.Tensor.DataType, call.ResponseStream.Current.Tensor.ByteSize));

        async Task<string> Refused(Action<ReadTensorRequest> change)
        {
            var wrong = new ReadTensorRequest { Name = told.Name };
            change(wrong);
            return (await Error(() => client.Read(wrong))).Reason;
        }
        Assert.Equal("RANGE_OUT_OF_BOUNDS", await Refused(r => r.Ranges.Add(new AxisRange { Stop = 11 })));
        Assert.Equal("OFFSET_OUT_OF_RANGE", await Refused(r => r.Offset = 24_001));
        Assert.Equal("OFFSET_OUT_OF_RANGE", await Refused(r => r.Offset = -1));
        Assert.Equal("UNKNOWN_ENUM_VALUE", await Refused(r => r.DataType = (DataType)55));
        Assert.Equal("UNKNOWN_TENSOR", await Refused(r => r.Name = "tensors/x"));
        Assert.Empty(await client.Read(new ReadTensorRequest { Name = told.Name, Offset = 24_000 }));
    }

    [Fact]
    public async Task Uploads_that_are_not_what_they_say_leave_nothing_behind()
    {
        await using var server = await TestServer.Start(o => o with { Limits = o.Limits with { Tensors = o.Limits.Tensors with { SessionBytes = 1 << 20 } } });
        using var client = server.Connect();
        async Task<string> Refused(params CreateTensorRequest[] messages)
        {
            using var call = client.Tensors.CreateTensor();
            return (await Error(async () =>
            {
                try
                {
                    foreach (var message in messages) await call.RequestStream.WriteAsync(message);
                    await call.RequestStream.CompleteAsync();
                }
                catch (InvalidOperationException)
                {
                    // Refused before all was sent.
                }
                await call;
            })).Reason;
        }
        static CreateTensorRequest Header(params long[] shape) => new() { Header = new TensorHeader { DataType = DataType.Float32, Shape = { shape } } };
        static CreateTensorRequest Chunk(int bytes) => new() { Chunk = ByteString.CopyFrom(new byte[bytes]) };
        Assert.Equal("TENSOR_BYTES", await Refused(Header(4), Chunk(12)));
        Assert.Equal("TENSOR_BYTES", await Refused(Header(4), Chunk(12), Chunk(5)));
        Assert.Equal("FIELD_MISSING", await Refused(Chunk(12)));
        Assert.Equal("FIELD_MISSING", await Refused());
        Assert.Equal("FIELD_MISSING", await Refused(new CreateTensorRequest()));
        Assert.Equal("SECOND_HEADER", await Refused(Header(4), Header(4)));
        Assert.Equal("TENSOR_SHAPE", await Refused(Header(long.MaxValue, 2)));
        Assert.Equal("TENSOR_QUOTA", await Refused(Header(1 << 20)));
        Assert.Equal("TENSOR_QUOTA", await Refused(Header(1L << 60)));
        Assert.Equal("TTL_OUT_OF_RANGE", await Refused(new CreateTensorRequest { Header = new TensorHeader { DataType = DataType.Bool, Ttl = Duration.FromTimeSpan(TimeSpan.FromDays(3)) } }));
        var tomorrow = Header(4);
        tomorrow.MergeFrom([0xf8, 0x7c, 0x01]);
        Assert.Equal("UNKNOWN_FIELD", await Refused(tomorrow));
        Assert.Equal(0, server.Host.TensorCount);
        // Room that was reserved for them is free again.
        await client.Upload(DataType.Float32, [1 << 18], new byte[1 << 20], 1 << 18);
    }

    [Fact]
    public async Task A_tensor_whose_time_is_over_is_gone_and_the_message_says_what_to_do()
    {
        var clock = new ManualClock();
        await using var server = await TestServer.Start(o => o with
        {
            Clock = clock, Limits = o.Limits with { Tensors = o.Limits.Tensors with { TimeToLive = TimeSpan.FromSeconds(60) } },
        });
        using var client = server.Connect();
        var told = await client.Upload(DataType.Bool, [1], [1]);
        Assert.Equal(clock.Now + TimeSpan.FromSeconds(60), told.ExpireTime.ToDateTimeOffset());
        clock.Now += TimeSpan.FromSeconds(59);
        await client.Tensors.GetTensorAsync(new GetTensorRequest { Name = told.Name });
        clock.Now += TimeSpan.FromSeconds(61);
        var error = await Error(client.Tensors.GetTensorAsync(new GetTensorRequest { Name = told.Name }));
        Assert.Equal((ErrorCode.NotFound, "UNKNOWN_TENSOR"), (error.Code, error.Reason));
        Assert.Contains("its time was over", error.Message);
    }

    [Fact]
    public async Task A_mapped_file_goes_with_its_tensor()
    {
        await using var server = await TestServer.Start();
        using var client = server.Connect(server.Socket);
        var told = await client.Upload(DataType.Float32, [1000], Bytes(Numbers(1000)));
        var path = (await client.Tensors.MapTensorAsync(new MapTensorRequest { Name = told.Name })).Path;
        Assert.Equal(path, (await client.Tensors.MapTensorAsync(new MapTensorRequest { Name = told.Name })).Path);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        Assert.Equal(Bytes(Numbers(1000)), await File.ReadAllBytesAsync(path));
        await client.Tensors.DeleteTensorsAsync(new DeleteTensorsRequest { Names = { told.Name } });
        Assert.False(File.Exists(path));
        var other = await client.Upload(DataType.Float32, [1000], Bytes(Numbers(1000)));
        path = (await client.Tensors.MapTensorAsync(new MapTensorRequest { Name = other.Name })).Path;
        await client.Server.EndSessionAsync(new EndSessionRequest());
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task A_large_tensor_travels_whole_over_port_and_socket()
    {
        await using var server = await TestServer.Start();
        var bytes = Bytes(Numbers(4 << 20));
        foreach (var address in new[] { server.Port, server.Socket })
        {
            using var client = server.Connect(address);
            var told = await client.Upload(DataType.Float32, [4 << 20], bytes, 1 << 18);
            var clock = Stopwatch.StartNew();
            Assert.Equal(bytes, await client.Read(new ReadTensorRequest { Name = told.Name }));
            TestContext.Current.SendDiagnosticMessage($"{address[..4]}: ReadTensor {bytes.Length / clock.Elapsed.TotalSeconds / 1e6:F0} MB/s");
        }
    }
}
