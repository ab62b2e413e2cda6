using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>A run that others attend to where they are the same as it.</summary>
internal interface IAttendedRun
{
    /// <summary>[rows or 1, pos] int64.</summary>
    Tensor Positions { get; }

    long LongestPosition { get; }

    /// <summary>[rows, pos] booleans, false at padding; null where attention need not know.</summary>
    Tensor? KeyMask { get; }

    /// <summary>A layer's queries as they attend: [rows, pos, heads, d_head].</summary>
    Tensor Queries(int layer);

    /// <summary>A layer's keys as they are attended to: [rows, pos, key heads, d_head].</summary>
    Tensor Keys(int layer);

    /// <summary>[rows, pos, key heads, d_head].</summary>
    Tensor Values(int layer);
}
