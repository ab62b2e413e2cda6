using InteropInterp.Models;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>Who may attend to whom where only some positions of a row are queries.</summary>
internal static class PrefixMask
{
    /// <param name="start">The first query's position.</param>
    /// <param name="queries">How many positions ask.</param>
    /// <param name="keys">Positions 0 to keys are asked.</param>
    /// <param name="keyMask">[rows, keys] booleans, false at padding.</param>
    /// <returns>[rows or 1, 1, queries, keys] booleans; null where everything is allowed.</returns>
    public static Tensor? Of(TransformerConfig config, int layer, int start, int queries, int keys, Tensor? keyMask, Device device)
    {
        var query = Ops.Range(start, start + queries, device).unsqueeze(1);
        var key = Ops.Range(keys, device).unsqueeze(0);
        Tensor? mask = null;
        // The last position sees all.
        if (config.IsCausal && (queries > 1 || start + 1 < keys)) mask = key.le(query);
        if (config.IsLocal(layer) && config.WindowSize < keys)
        {
            var near = key.gt(query.Plus(-config.WindowSize!.Value));
            mask = mask is null ? near : mask.logical_and(near);
        }
        mask = mask?.unsqueeze(0).unsqueeze(0);
        if (keyMask is null) return mask;
        var real = keyMask.narrow(1, 0, keys).unsqueeze(1).unsqueeze(1);
        return mask is null ? real : mask.logical_and(real);
    }
}
