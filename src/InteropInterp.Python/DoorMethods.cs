using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Python;

/// <summary>
/// The door's own methods: is it open, what is behind it, how fast is it. Their payloads are little-endian numbers, so that they
/// work where nothing else does.
/// </summary>
internal static class DoorMethods
{
    public static CallTable Register(CallTable table) => table
        .Add("door.Ping", (request, _) => request.ToArray())
        .Add("door.Info", (_, context) => Info(context.Door))
        .Add("door.CallBack", (request, context) => context.CallBack(Number(request, 0), request[8..]))
        .Add("door.ToCpu", (request, context) => ToCpu(context.Door, Number(request, 0)))
        .Add("door.MatMul", (request, context) => MatMul(context.Door, Number(request, 0), Number(request, 8)))
        .Add("door.Gemm", (request, context) => Gemm(context.Door, Number(request, 0), Number(request, 8)));

    /// <summary>JSON: the loader, libtorch, live tensors and handles.</summary>
    private static byte[] Info(Door door)
    {
        door.Tensors.Drain();
        var torch = door.LibTorch;
        return JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object>
        {
            ["door"] = door.Name,
            ["runtime"] = RuntimeInformation.FrameworkDescription,
            ["home"] = Path.GetDirectoryName(typeof(DoorMethods).Assembly.Location)!,
            ["libtorch"] = torch,
            ["live_tensors"] = LiveTensors.Count,
            ["handles"] = door.Tensors.Count,
        });
    }

    /// <summary>A handle to a handle of a copy in the CPU's memory, the only one that numpy reads.</summary>
    private static byte[] ToCpu(Door door, long handle)
    {
        using var scope = NewDisposeScope();
        using var tensor = door.Tensors.Get(door.Session, handle);
        using var lease = DeviceLeases.Of(tensor.device).Acquire();
        return Bytes(door.Tensors.Add(door.Session, tensor.device_type == TorchSharp.DeviceType.CPU ? tensor.clone() : tensor.cpu()).Number);
    }

    /// <summary>Two handles to a handle of their product.</summary>
    private static byte[] MatMul(Door door, long a, long b)
    {
        using var lease = door.Lease.Acquire();
        using var scope = NewDisposeScope();
        return Bytes(door.Tensors.Add(door.Session, door.Tensors.Get(door.Session, a).MatMul(door.Tensors.Get(door.Session, b))).Number);
    }

    /// <summary>
    /// Multiplies float32 matrices of [size, size] for so many milliseconds, one product a step: the yardstick that benchmarks
    /// are read against. Replies the products made, and the rate in 1e9 operations per second as a float64.
    /// </summary>
    private static byte[] Gemm(Door door, long size, long milliseconds)
    {
        InterpException.Require(size is > 0 and <= 8192, "BAD_SIZE", $"The size must be 1 to 8192; got {size}.");
        var products = 0L;
        var clock = Stopwatch.StartNew();
        door.Lease.Run(() =>
        {
            using var scope = NewDisposeScope();
            var x = Ops.Full([size, size], 1, ScalarType.Float32, CPU);
            x.MatMul(x);
            products++;
            return clock.ElapsedMilliseconds < milliseconds;
        });
        return [.. Bytes(products), .. BitConverter.GetBytes(2e-9 * products * size * size * size / clock.Elapsed.TotalSeconds)];
    }

    private static long Number(ReadOnlySpan<byte> request, int offset)
    {
        InterpException.Require(request.Length >= offset + 8, "BAD_REQUEST",
            $"Expected an int64 at byte {offset}; the request has {request.Length} bytes.");
        return BinaryPrimitives.ReadInt64LittleEndian(request[offset..]);
    }

    private static byte[] Bytes(long value) => BitConverter.GetBytes(value);
}
