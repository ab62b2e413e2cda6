using System.Runtime.InteropServices;
using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Interop;

public sealed unsafe class BlobTests : IDisposable
{
    private readonly float* memory = (float*)NativeMemory.Alloc(6, sizeof(float));

    public BlobTests()
    {
        for (var i = 0; i < 6; i++) memory[i] = i;
    }

    public void Dispose() => NativeMemory.Free(memory);

    private sealed class Owner : IDisposable
    {
        public int Disposed;

        public void Dispose() => Interlocked.Increment(ref Disposed);
    }

    [Fact]
    public void A_view_shares_the_memory_both_ways()
    {
        using var scope = NewDisposeScope();
        var t = Blob.View((IntPtr)memory, [2, 3], ScalarType.Float32);
        Assert.Equal([2, 3], t.shape);
        Assert.Equal(5f, t[1, 2].item<float>());
        memory[5] = 50;
        Assert.Equal(50f, t[1, 2].item<float>());
        t[0, 1].Fill(-1);
        Assert.Equal(-1f, memory[1]);
    }

    [Fact]
    public void Strides_are_kept()
    {
        using var scope = NewDisposeScope();
        var t = Blob.View((IntPtr)memory, [3, 2], ScalarType.Float32, [1, 3]);
        Assert.Equal([1, 3], t.stride());
        Assert.Equal([0f, 3, 1, 4, 2, 5], t.contiguous().data<float>().ToArray());
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Int64)]
    [InlineData(ScalarType.Int32)]
    [InlineData(ScalarType.Int16)]
    [InlineData(ScalarType.Int8)]
    [InlineData(ScalarType.Byte)]
    [InlineData(ScalarType.Bool)]
    [InlineData(ScalarType.ComplexFloat32)]
    [InlineData(ScalarType.ComplexFloat64)]
    public void Every_element_type_arrives_as_itself(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var bytes = stackalloc byte[64];
        new Span<byte>(bytes, 64).Clear();
        var t = Blob.View((IntPtr)bytes, [2], dtype);
        Assert.Equal(dtype, t.dtype);
        Assert.Equal(0, t.count_nonzero().item<long>());
        Assert.Equal(dtype, t.clone().dtype);
    }

    [Fact]
    public void The_owner_goes_after_the_last_view_and_once()
    {
        var owner = new Owner();
        Tensor view;
        using (var scope = NewDisposeScope())
        {
            var t = Blob.Own((IntPtr)memory, [2, 3], ScalarType.Float32, owner);
            view = t[1].MoveToOuterDisposeScope();
            t.Dispose();
            Assert.Equal(0, owner.Disposed);
        }
        Assert.Equal(4f, view.data<float>()[1]);
        Assert.Equal(0, owner.Disposed);
        view.Dispose();
        Assert.Equal(1, owner.Disposed);
    }

    [Fact]
    public void Each_tensor_has_its_own_owner_also_at_one_address()
    {
        var owners = new[] { new Owner(), new Owner(), new Owner() };
        var tensors = owners.Select(o => Blob.Own((IntPtr)memory, [6], ScalarType.Float32, o)).ToList();
        foreach (var i in new[] { 1, 0, 2 })
        {
            tensors[i].Dispose();
            Assert.Equal(1, owners[i].Disposed);
        }
        Assert.All(owners, o => Assert.Equal(1, o.Disposed));
    }

    [Fact]
    public void The_owner_may_go_on_another_thread()
    {
        var owner = new Owner();
        var t = Blob.Own((IntPtr)memory, [6], ScalarType.Float32, owner);
        var thread = new Thread(t.Dispose);
        thread.Start();
        Assert.True(thread.Join(10_000));
        Assert.Equal(1, owner.Disposed);
    }

    [Fact]
    public void An_empty_tensor_lets_its_owner_go_too()
    {
        var owner = new Owner();
        using (var t = Blob.Own(IntPtr.Zero, [0, 3], ScalarType.Float32, owner)) Assert.Equal([0, 3], t.shape);
        Assert.Equal(1, owner.Disposed);
    }

    [Fact]
    public void What_cannot_be_a_tensor_is_refused_and_its_owner_let_go()
    {
        var owner = new Owner();
        Assert.Equal("NOT_SHAREABLE", Throws([-1], ScalarType.Float32).Reason);
        Assert.Equal("NOT_SHAREABLE", Throws([2], ScalarType.Float32, [-1]).Reason);
        Assert.Equal(2, owner.Disposed);
        Assert.Equal("BAD_STRIDES", Throws([2, 3], ScalarType.Float32, [1]).Reason);
        InterpException Throws(long[] shape, ScalarType dtype, long[]? strides = null) =>
            Assert.Throws<InterpException>(() => Blob.Own((IntPtr)memory, shape, dtype, owner, strides));
    }

    [Fact]
    public void A_number_has_rank_zero()
    {
        using var tensor = Blob.View((IntPtr)(memory + 4), [], ScalarType.Float32);
        Assert.Empty(tensor.shape);
        Assert.Equal(4, tensor.item<float>());
    }

    [Fact]
    public void The_address_is_that_of_the_first_element()
    {
        using var scope = NewDisposeScope();
        var tensor = Blob.View((IntPtr)memory, [6], ScalarType.Float32);
        Assert.Equal((IntPtr)memory, Blob.Address(tensor));
        Assert.Equal((IntPtr)(memory + 2), Blob.Address(tensor[2..]));
    }

    [Fact]
    public void Memory_in_huge_pages_is_memory()
    {
        using var scope = NewDisposeScope();
        var tensor = empty(5 << 20, dtype: ScalarType.Float32);
        HugePages.Advise(Blob.Address(tensor), 20 << 20);
        HugePages.Advise(Blob.Address(tensor), 3);
        Assert.Equal(5 << 20, tensor.Fill(1).sum().item<float>());
    }
}
