using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>
/// Keys (after rotation) and values of positions already seen, preallocated, so that a decode step costs one position.
/// </summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly Tensor[] keys;
    private readonly Tensor[] values;

    /// <param name="batch">Rows.</param>
    /// <param name="heads">Key heads; query heads where they are ungrouped.</param>
    /// <param name="capacity">Positions it can hold.</param>
    public KeyValueCache(TransformerConfig config, long batch, long heads, long capacity, ScalarType dtype, Device device)
    {
        Capacity = capacity;
        Batch = batch;
        Tensor Make() => empty([batch, heads, capacity, config.HeadWidth], dtype, device).DetachFromDisposeScope();
        keys = [.. Enumerable.Range(0, config.LayerCount).Select(_ => Make())];
        values = [.. Enumerable.Range(0, config.LayerCount).Select(_ => Make())];
    }

    public long Batch { get; }
    public long Capacity { get; }

    /// <summary>Positions held.</summary>
    public long Length { get; private set; }

    /// <summary>Stores the new positions of a layer and returns all: each [batch, key heads, length + new, d_head].</summary>
    /// <param name="key">[batch, key heads, new, d_head].</param>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor key, Tensor value)
    {
        var count = key.size(2);
        keys[layer].narrow(2, Length, count).copy_(key);
        values[layer].narrow(2, Length, count).copy_(value);
        return (keys[layer].narrow(2, 0, Length + count), values[layer].narrow(2, 0, Length + count));
    }

    /// <summary>Ends a pass over <paramref name="count"/> new positions.</summary>
    internal void Advance(long count) => Length += count;

    public void Dispose()
    {
        foreach (var t in keys.Concat(values)) t.Dispose();
    }
}
