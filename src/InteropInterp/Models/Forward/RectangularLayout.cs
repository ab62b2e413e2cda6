using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>Rows of one length, padded if need be: positions, padding, causality, local windows, cached keys.</summary>
internal sealed class RectangularLayout : ITokenLayout, IDisposable
{
    private readonly TransformerConfig config;
    private readonly Dictionary<bool, Tensor?> masks = [];

    /// <param name="batch">Rows.</param>
    /// <param name="length">New positions per row.</param>
    /// <param name="keyMask">[batch, cached + length] booleans, true where a token stands; null where no row is padded.</param>
    /// <param name="cache">Positions already seen.</param>
    public RectangularLayout(TransformerConfig config, long batch, long length, Tensor? keyMask, KeyValueCache? cache, Device device)
    {
        this.config = config;
        Batch = batch;
        Length = length;
        Cache = cache;
        Past = cache?.Length ?? 0;
        KeyMask = keyMask;
        Device = device;
        if (keyMask is null)
        {
            Positions = Ops.Range(Past, Past + length, device).unsqueeze(0);
            LongestPosition = Past + length;
        }
        else
        {
            // Positions count the tokens of a row; padding in front has none, and is given 0.
            var counts = keyMask.to(ScalarType.Int64).cumsum(1);
            Positions = counts.sub(Scalars.IntegerOne).clamp_min(Scalars.IntegerZero).narrow(1, Past, length);
            LongestPosition = counts.max().item<long>();
        }
    }

    public long Batch { get; }
    public long Length { get; }
    private long Past { get; }
    private KeyValueCache? Cache { get; }
    private Device Device { get; }

    /// <summary>[batch or 1, pos] int64.</summary>
    public Tensor Positions { get; }

    /// <summary>Tokens in the longest row, cached ones included.</summary>
    public long LongestPosition { get; }

    private Tensor? KeyMask { get; }

    public Tensor? Present => KeyMask?.narrow(1, Past, Length);

    public Tensor Attend(Tensor q, Tensor k, Tensor v, int layer, IActivationHooks hooks)
    {
        (q, k, v) = (q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2));
        if (Cache is not null) (k, v) = Cache.Append(layer, k, v);
        return AttentionKernel.Apply(config, q, k, v, () => Mask(layer), IsPlainCausal(layer), layer, hooks).transpose(1, 2);
    }

    public void Finish() => Cache?.Advance(Length);

    // Plain causality says it all: no mask needs to be made.
    private bool IsPlainCausal(int layer) => config.IsCausal && KeyMask is null && Past == 0 && !IsWindowed(layer);

    // [batch or 1, 1, query, key] booleans, true where attention is allowed; null where everything is.
    private Tensor? Mask(int layer)
    {
        var windowed = IsWindowed(layer);
        // Built within the scope of some layer, but good for all.
        if (!masks.TryGetValue(windowed, out var mask)) masks[windowed] = mask = Build(windowed)?.alias().DetachFromDisposeScope();
        return mask;
    }

    public void Dispose()
    {
        foreach (var mask in masks.Values) mask?.Dispose();
    }

    // A window as long as the sequence hides nothing.
    private bool IsWindowed(int layer) => config.IsLocal(layer) && config.WindowSize < Past + Length;

    private Tensor? Build(bool windowed)
    {
        Tensor? mask = null;
        if (config.IsCausal && (Length > 1 || windowed) || windowed)
        {
            var query = Ops.Range(Past, Past + Length, Device).unsqueeze(1);
            var key = Ops.Range(Past + Length, Device).unsqueeze(0);
            if (config.IsCausal) mask = key.le(query);
            if (windowed)
            {
                var near = key.gt(query.Plus(-config.WindowSize!.Value));
                mask = mask is null ? near : mask.logical_and(near);
            }
            mask = mask!.unsqueeze(0).unsqueeze(0);
        }
        if (KeyMask is null) return mask;
        var real = KeyMask.unsqueeze(1).unsqueeze(1);
        return mask is null ? real : mask.logical_and(real);
    }
}
