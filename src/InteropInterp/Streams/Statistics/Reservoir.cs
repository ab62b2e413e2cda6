using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using InteropInterp.Randomness;
using static TorchSharp.torch;

namespace InteropInterp.Streams.Statistics;

/// <summary>
/// A uniform sample of tokens without replacement, in random order: "samples" [n, unit], "sample_rows", "sample_positions" and
/// "sample_tokens" [n]; n is <see cref="Count"/>, or as many as there were. What resample ablation takes. Each token has a random key
/// of its own (seed, place in the stream), and the smallest are kept, so the sample does not depend on how the stream was cut.
/// </summary>
/// <param name="Count">How many.</param>
public sealed record Reservoir(int Count, ulong Seed = 0) : Statistic
{
    public override string Kind => "samples";

    internal override void Check(StreamShape shape) =>
        Require(Count is > 0 and <= 10_000_000, shape, "SAMPLE_COUNT", $"{Count} samples; 1 to 10,000,000 are expected.");

    internal override double Bytes(StreamShape shape) => (double)Count * (8 + 8 + 4 + 4 + 8.0 * shape.Width);

    internal override Accumulator Start(StreamShape shape) => new ReservoirAccumulator(this, shape);
}

internal sealed unsafe class ReservoirAccumulator : Accumulator
{
    private readonly Reservoir wanted;
    private readonly StreamShape shape;
    private readonly Tensor keys, rows, places, samples;

    // (key, slot), the largest key first; made of the keys.
    private readonly PriorityQueue<int, long> largest = new(Comparer<long>.Create((a, b) => b.CompareTo(a)));
    private bool isRead;

    public ReservoirAccumulator(Reservoir wanted, StreamShape shape)
    {
        (this.wanted, this.shape) = (wanted, shape);
        // Keys are not negative; -1 says that nothing is there yet.
        keys = Keep("keys", Ops.Full([wanted.Count], -1, ScalarType.Int64));
        rows = Keep("rows", Ops.Full([wanted.Count], -1, ScalarType.Int64));
        places = Keep("places", Ops.Full([wanted.Count, 2], -1, ScalarType.Int32));
        // float64 holds every type as it is.
        samples = Keep("samples", zeros([wanted.Count, shape.Width], ScalarType.Float64));
    }

    public override void Add(Tensor values, CountedTokens tokens)
    {
        if (!isRead) ReadKeys();
        var key = (long*)Blob.Address(keys);
        var row = (long*)Blob.Address(rows);
        var place = (int*)Blob.Address(places);
        Span<int> self = stackalloc int[1];
        // Slot to token: the last that took it.
        var taken = new SortedDictionary<int, int>();
        for (var token = 0; token < tokens.Count; token++)
        {
            var drawn = new CounterDraws(wanted.Seed, tokens.FirstToken + token);
            var mine = (long)((ulong)drawn.Next() << 31 | drawn.Next() >> 1);
            int slot;
            if (largest.Count < wanted.Count) slot = largest.Count;
            else if (largest.TryPeek(out _, out var worst) && mine < worst) slot = largest.Dequeue();
            else continue;
            largest.Enqueue(slot, mine);
            tokens.Window(token, 0, self);
            (key[slot], row[slot], place[2 * slot], place[2 * slot + 1]) = (mine, tokens.RowOf(token), tokens.PositionOf(token), self[0]);
            taken[slot] = token;
        }
        if (taken.Count == 0) return;
        var picked = values.index_select(0, tensor(taken.Values.Select(t => (long)t).ToArray(), device: shape.Device));
        samples.index_copy_(0, tensor(taken.Keys.Select(s => (long)s).ToArray()), picked.to(ScalarType.Float64).cpu());
    }

    public override IEnumerable<KeyValuePair<string, Tensor>> Results()
    {
        var count = keys.ge(Scalars.IntegerZero).sum().item<long>();
        var order = keys.narrow(0, 0, count).argsort();
        yield return Result("samples", samples.index_select(0, order).view([count, .. shape.Unit]));
        yield return Result("sample_rows", rows.index_select(0, order));
        yield return Result("sample_positions", places.select(1, 0).index_select(0, order));
        yield return Result("sample_tokens", places.select(1, 1).index_select(0, order));
    }

    private void ReadKeys()
    {
        isRead = true;
        var all = keys.data<long>().ToArray();
        for (var slot = 0; slot < all.Length && all[slot] >= 0; slot++) largest.Enqueue(slot, all[slot]);
    }
}
