using Google.Protobuf.WellKnownTypes;
using InteropInterp.Models;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace InteropInterp.Protocol.Tensors;

/// <summary>A tensor that a client holds by name. What is asked often is read off it once.</summary>
public sealed class StoredTensor
{
    internal StoredTensor(long number, Session owner, Tensor tensor)
    {
        (Number, Owner, Tensor) = (number, owner, tensor);
        Shape = tensor.shape;
        DataType = tensor.dtype;
        Device = Devices.Name(tensor.device);
        Bytes = tensor.numel() * tensor.element_size();
    }

    public long Number { get; }
    public string Name => $"tensors/{Number}";
    public IReadOnlyList<long> Shape { get; }
    public ScalarType DataType { get; }
    public string Device { get; }

    /// <summary>Of its elements.</summary>
    public long Bytes { get; }

    /// <summary>Others use its memory too.</summary>
    public bool IsReadOnly { get; init; }

    internal Session Owner { get; }
    internal Tensor Tensor { get; }

    /// <summary>What it counts in its owner's quota.</summary>
    internal long Charge { get; set; }

    internal TimeSpan? TimeToLive { get; init; }
    internal DateTimeOffset? Expires { get; set; }

    /// <summary>The shared memory file it was put into.</summary>
    internal string? MappedAt { get; set; }

    /// <exception cref="InterpException">DATA_TYPE_NOT_SENT for complex numbers, which no message has.</exception>
    public TensorRef ToRef() => new()
    {
        Name = Name,
        DataType = DataTypes.ToProto(DataType),
        Shape = { Shape },
        ByteSize = Bytes,
        Device = Device,
        ReadOnly = IsReadOnly,
        ExpireTime = Expires is { } time ? Timestamp.FromDateTimeOffset(time) : null,
    };
}
