using System.Runtime.InteropServices;
using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace InteropInterp.Protocol.Tests.Tensors;

public class TensorBlocksTests
{
    private static byte[] Bytes(Tensor tensor, ScalarType dtype, long offset)
    {
        var all = new List<byte>();
        foreach (var (block, skip) in TensorBlocks.Of(tensor, dtype, offset))
            using (block)
                all.AddRange(TensorBlocks.Bytes(block, skip, (int)(block.numel() * block.element_size() - skip)).Span);
        return [.. all];
    }

    private static byte[] Whole(Tensor tensor, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var dense = tensor.to(dtype).contiguous();
        return new Span<byte>(GetBytes(dense)).ToArray();
    }

    private static unsafe byte[] GetBytes(Tensor dense) => new ReadOnlySpan<byte>((void*)Blob.Address(dense), (int)(dense.numel() * dense.element_size())).ToArray();

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(5_000_000)]
    [InlineData(11_999_999)]
    public void Blocks_are_the_tensors_bytes_from_any_offset_whatever_its_strides_and_type(long offset)
    {
        using var scope = NewDisposeScope();
        // 12 MB: more than one block.
        var tensor = Ops.Range(3_000_000).to(ScalarType.Float32).view(3, 100, 10_000);
        foreach (var view in new[] { tensor, tensor.transpose(0, 2), tensor.narrow(2, 5, 9_990), tensor.select(0, 1) })
            foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.Float16 })
            {
                var expected = Whole(view, dtype);
                Assert.True(Bytes(view, dtype, offset).AsSpan().SequenceEqual(expected.AsSpan((int)Math.Min(offset, expected.Length))));
            }
    }

    [Fact]
    public void A_row_larger_than_a_block_is_cut_itself()
    {
        using var scope = NewDisposeScope();
        var tensor = Ops.Range(4_000_000).view(2, 2_000_000).t();
        var turned = tensor.t().to(ScalarType.Float64);
        Assert.Equal(Whole(turned, ScalarType.Float32).Length, Bytes(turned, ScalarType.Float32, 0).Length);
        Assert.True(Bytes(turned, ScalarType.Float32, 9).AsSpan().SequenceEqual(Whole(turned, ScalarType.Float32).AsSpan(9)));
    }

    [Fact]
    public void Scalars_and_empty_tensors_have_their_bytes()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(4, Bytes(Ops.Full([], 3, ScalarType.Float32), ScalarType.Float32, 0).Length);
        Assert.Empty(Bytes(zeros(0, 4), ScalarType.Float64, 0));
    }

    [Fact]
    public void Ranges_cut_as_numpy_does()
    {
        using var scope = NewDisposeScope();
        var tensor = Ops.Range(60).view(3, 4, 5);
        var cut = TensorBlocks.Cut(tensor, [new AxisRange { Start = 1, Stop = 3 }, new AxisRange { Start = 0, Stop = 4, Step = 2 }]);
        Assert.Equal([2L, 2L, 5L], cut.shape);
        Assert.Equal(MemoryMarshal.Cast<byte, long>(Bytes(cut, ScalarType.Int64, 0)).ToArray(), cut.contiguous().data<long>().ToArray());
        Assert.Equal(20L, cut.flatten()[0].item<long>());
        Assert.Equal([0L, 4L, 5L], TensorBlocks.Cut(tensor, [new AxisRange { Start = 2, Stop = 2 }]).shape);
    }

    [Theory]
    [InlineData(-1, 2, 1)]
    [InlineData(0, 4, 1)]
    [InlineData(2, 1, 1)]
    [InlineData(0, 3, -1)]
    public void Ranges_outside_the_axis_are_refused(long start, long stop, long step)
    {
        using var scope = NewDisposeScope();
        var tensor = zeros(3, 4);
        var error = Assert.Throws<InterpException>(() => TensorBlocks.Cut(tensor, [new AxisRange { Start = start, Stop = stop, Step = step }]));
        Assert.Equal(("RANGE_OUT_OF_BOUNDS", "ranges[0]"), (error.Reason, error.Field));
        Assert.Equal("RANGE_OUT_OF_BOUNDS", Assert.Throws<InterpException>(() => TensorBlocks.Cut(tensor, [new(), new(), new()])).Reason);
    }

    [Fact]
    public void A_shared_file_holds_the_bytes_for_this_user_alone()
    {
        using var scope = NewDisposeScope();
        var tensor = Ops.Range(3_000_000).to(ScalarType.Float32).view(1000, 3000).t();
        var path = SharedTensorFile.Create(tensor);
        try
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
            Assert.True(File.ReadAllBytes(path).AsSpan().SequenceEqual(Whole(tensor, ScalarType.Float32)));
            // Those of a process that lives stay.
            SharedTensorFile.RemoveStale();
            Assert.True(File.Exists(path));
        }
        finally
        {
            SharedTensorFile.Unlink(path);
        }
        var stale = Path.Combine("/dev/shm", $"interopinterp-{int.MaxValue}-00");
        File.WriteAllText(stale, "");
        SharedTensorFile.RemoveStale();
        Assert.False(File.Exists(stale));
    }
}
