using Google.Protobuf;
using InteropInterp.Native.Operators;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Tests.Mapping;

public class TensorMappingTests
{
    public static TheoryData<DataType> Types => [.. Enum.GetValues<DataType>().Where(t => t != DataType.Unspecified)];

    [Theory, MemberData(nameof(Types))]
    public void Values_of_every_type_come_back(DataType type)
    {
        using var scope = NewDisposeScope();
        var dtype = DataTypes.ToEngine(type, "");
        var tensor = Ops.Range(6).view(2, 3).t().to(dtype);
        var message = TensorMapping.ToProto(tensor);
        Assert.Equal(type, message.DataType);
        Assert.Equal([3L, 2L], message.Shape);
        var back = TensorMapping.ToEngine(message, "value");
        Assert.Equal(dtype, back.dtype);
        Assert.True(back.eq(tensor).all().item<bool>());
    }

    private static InterpException Refused(DataType type, int bytes, params long[] shape) => Assert.Throws<InterpException>(() =>
    {
        using var scope = NewDisposeScope();
        TensorMapping.ToEngine(new TensorData { DataType = type, Shape = { shape }, Data = ByteString.CopyFrom(Enumerable.Repeat((byte)2, bytes).ToArray()) }, "plan.residual");
    });

    [Fact]
    public void Bytes_that_do_not_fit_the_shape_are_refused()
    {
        var error = Refused(DataType.Float32, 20, 2, 3);
        Assert.Equal((ErrorCode.InvalidArgument, "TENSOR_BYTES", "plan.residual"), (error.Code, error.Reason, error.Field));
        Assert.Contains("20", error.Message);
        Assert.Contains("24", error.Message);
    }

    [Fact]
    public void Shapes_are_checked_before_anything_is_allocated()
    {
        Assert.Equal("TENSOR_SHAPE", Refused(DataType.Float32, 0, -1, 3).Reason);
        Assert.Equal("TENSOR_SHAPE", Refused(DataType.Float32, 0, long.MaxValue, 3).Reason);
        Assert.Equal("TENSOR_SHAPE", Refused(DataType.Float32, 0, 1L << 32, 1L << 32).Reason);
        Assert.Equal("TENSOR_SHAPE", Refused(DataType.Float32, 0, 0, long.MaxValue).Reason);
        Assert.Equal("TENSOR_SHAPE", Refused(DataType.Float32, 4, [.. Enumerable.Repeat(1L, 65)]).Reason);
        Assert.Equal("TENSOR_BYTES", Refused(DataType.Float32, 0, 1L << 40).Reason);
        Assert.Equal("FIELD_MISSING", Refused(DataType.Unspecified, 0).Reason);
        Assert.Equal("UNKNOWN_ENUM_VALUE", Refused((DataType)77, 0).Reason);
    }

    [Fact]
    public void A_boolean_is_0_or_1() => Assert.Equal("TENSOR_VALUES", Refused(DataType.Bool, 3, 3).Reason);
}
