using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Interop;

public class DlPackTests
{
    [Fact]
    public void An_export_describes_the_tensor_and_shares_its_memory()
    {
        using var scope = NewDisposeScope();
        var t = tensor(new[] { 1f, 2, 3, 4, 5, 6 }).reshape(2, 3);
        var managed = DlPack.Export(t[1]);
        var (data, shape, code, bits) = DlPack.Describe(managed);
        Assert.Equal([3], shape);
        Assert.Equal((2, 32), (code, bits));
        unsafe
        {
            var p = (float*)data;
            Assert.Equal(4f, p[0]);
            p[0] = 40;
        }
        Assert.Equal(40f, t[1, 0].item<float>());
        DlPack.Free(managed);
    }

    [Fact]
    public void An_export_keeps_the_memory_until_it_is_freed()
    {
        IntPtr managed;
        using (NewDisposeScope()) managed = DlPack.Export(Ops.Full([1000], 3, ScalarType.Float64));
        using (NewDisposeScope()) Ops.Full([1000], 4, ScalarType.Float64);
        var (data, _, code, bits) = DlPack.Describe(managed);
        Assert.Equal((2, 64), (code, bits));
        unsafe
        {
            Assert.Equal(3.0, ((double*)data)[999]);
        }
        DlPack.Free(managed);
    }

    [Fact]
    public void A_round_trip_keeps_values_shape_strides_and_type()
    {
        using var scope = NewDisposeScope();
        var t = Ops.Range(24).to(ScalarType.Int16).reshape(2, 3, 4).transpose(0, 2);
        var back = DlPack.Import(DlPack.Export(t));
        Assert.Equal((ScalarType.Int16, 24), (back.dtype, back.numel()));
        Assert.Equal(t.shape, back.shape);
        Assert.Equal(t.stride(), back.stride());
        Assert.True(back.equal(t).all().item<bool>());
        back.zero_();
        Assert.Equal(0, t.count_nonzero().item<long>());
    }

    [Fact]
    public void What_memory_alone_does_not_say_is_refused()
    {
        using var scope = NewDisposeScope();
        var complex = ones(3, dtype: ScalarType.ComplexFloat32);
        Assert.Equal("NOT_SHAREABLE", Assert.Throws<InterpException>(() => DlPack.Export(complex.conj())).Reason);
        Assert.Equal("NOT_SHAREABLE", Assert.Throws<InterpException>(() => DlPack.Export(eye(3).to_sparse())).Reason);
        Assert.Equal("NOT_SHAREABLE", Assert.Throws<InterpException>(() => DlPack.Import(IntPtr.Zero)).Reason);
    }

    [Fact]
    public unsafe void A_bad_structure_is_refused_before_libtorch_sees_it()
    {
        using var scope = NewDisposeScope();
        var managed = (DlPack.Managed*)DlPack.Export(ones(3));
        Refused(() => managed->DeviceType = 99, () => managed->DeviceType = 1);
        Refused(() => managed->Rank = 1_000_000, () => managed->Rank = 1);
        Refused(() => managed->Bits = 24, () => managed->Bits = 32);
        Refused(() => managed->Lanes = 4, () => managed->Lanes = 1);
        Refused(() => managed->Shape[0] = -3, () => managed->Shape[0] = 3);
        Assert.Equal(3, DlPack.Import((IntPtr)managed).numel());
        void Refused(Action spoil, Action mend)
        {
            spoil();
            Assert.Equal("NOT_SHAREABLE", Assert.Throws<InterpException>(() => DlPack.Import((IntPtr)managed)).Reason);
            mend();
        }
    }
}
