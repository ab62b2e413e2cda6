using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Interop;

public class BlobTests
{
    private sealed class Owner(float[] values) : IDisposable
    {
        private System.Runtime.InteropServices.GCHandle pin =
            System.Runtime.InteropServices.GCHandle.Alloc(values, System.Runtime.InteropServices.GCHandleType.Pinned);

        public IntPtr Address => pin.AddrOfPinnedObject();

        public int Disposed { get; private set; }

        public void Dispose()
        {
            Disposed++;
            pin.Free();
        }
    }

    [Fact]
    public void The_owner_goes_with_the_last_view()
    {
        var owner = new Owner([1, 2, 3, 4]);
        var tensor = Blob.Own(owner.Address, [2, 2], ScalarType.Float32, owner);
        var view = tensor.t();
        tensor.Dispose();
        Assert.Equal(0, owner.Disposed);
        using (var sum = view.sum()) Assert.Equal(10, sum.item<float>());
        view.Dispose();
        Assert.Equal(1, owner.Disposed);
    }

    [Fact]
    public void Several_tensors_over_one_address_each_release_one_owner()
    {
        var values = new float[] { 1, 2 };
        var owners = Enumerable.Range(0, 3).Select(_ => new Owner(values)).ToList();
        var tensors = owners.Select(owner => Blob.Own(owner.Address, [2], ScalarType.Float32, owner)).ToList();
        foreach (var (tensor, i) in tensors.Select((tensor, i) => (tensor, i)))
        {
            tensor.Dispose();
            Assert.Equal(i + 1, owners.Sum(owner => owner.Disposed));
        }
        Assert.All(owners, owner => Assert.Equal(1, owner.Disposed));
    }

    [Fact]
    public void A_number_has_rank_zero()
    {
        var owner = new Owner([7]);
        using var tensor = Blob.Own(owner.Address, [], ScalarType.Float32, owner);
        Assert.Empty(tensor.shape);
        Assert.Equal(7, tensor.item<float>());
    }

    [Fact]
    public void The_address_is_that_of_the_first_element()
    {
        var owner = new Owner([1, 2, 3, 4]);
        using var scope = NewDisposeScope();
        var tensor = Blob.Own(owner.Address, [4], ScalarType.Float32, owner);
        Assert.Equal(owner.Address, Blob.Address(tensor));
        Assert.Equal(owner.Address + 8, Blob.Address(tensor[2..]));
    }

    [Fact]
    public unsafe void Memory_in_huge_pages_is_memory()
    {
        using var scope = NewDisposeScope();
        var tensor = empty(5 << 20, dtype: ScalarType.Float32);
        HugePages.Advise(Blob.Address(tensor), 20 << 20);
        HugePages.Advise(Blob.Address(tensor), 3);
        Assert.Equal(5 << 20, tensor.Fill(1).sum().item<float>());
    }
}
