using System.Runtime.InteropServices;

namespace InteropInterp.Tokens.Models;

/// <summary>
/// Byte-pair encoding proper: merges the pair of the lowest rank, the leftmost of equals, until none is left (Sennrich et al.
/// 2016, algorithm 1). Short words scan for it, long ones keep a queue: n log n.
/// </summary>
internal static class MergeLoop
{
    private const int ScanLimit = 48;
    private const int NoRank = int.MaxValue;

    public static void Run(List<Symbol> symbols, MergeTable merges)
    {
        if (symbols.Count < 2) return;
        var span = CollectionsMarshal.AsSpan(symbols);
        var count = span.Length <= ScanLimit ? Scan(span, merges) : Queue(span, merges);
        CollectionsMarshal.SetCount(symbols, count);
    }

    private static int Scan(Span<Symbol> symbols, MergeTable merges)
    {
        var count = symbols.Length;
        // [i] is about the pair i, i+1.
        Span<int> ranks = stackalloc int[ScanLimit];
        Span<int> results = stackalloc int[ScanLimit];
        for (var i = 0; i < count - 1; i++) Look(symbols, i, ranks, results, merges);
        while (count > 1)
        {
            var pairs = ranks[..(count - 1)];
            var best = 0;
            for (var i = 1; i < pairs.Length; i++)
                if (pairs[i] < pairs[best]) best = i;
            if (pairs[best] == NoRank) break;
            symbols[best] = new(results[best], symbols[best].Start, symbols[best + 1].End);
            symbols[(best + 2)..count].CopyTo(symbols[(best + 1)..]);
            ranks[(best + 1)..(count - 1)].CopyTo(ranks[best..]);
            results[(best + 1)..(count - 1)].CopyTo(results[best..]);
            count--;
            if (best > 0) Look(symbols, best - 1, ranks, results, merges);
            if (best < count - 1) Look(symbols, best, ranks, results, merges);
        }
        return count;
    }

    private static void Look(Span<Symbol> symbols, int at, Span<int> ranks, Span<int> results, MergeTable merges)
    {
        if (merges.TryGet(symbols[at].Id, symbols[at + 1].Id, out ranks[at], out results[at])) return;
        ranks[at] = NoRank;
    }

    private static int Queue(Span<Symbol> symbols, MergeTable merges)
    {
        var next = new int[symbols.Length];
        var previous = new int[symbols.Length];
        for (var i = 0; i < symbols.Length; i++) (previous[i], next[i]) = (i - 1, i + 1 < symbols.Length ? i + 1 : -1);
        var queue = new PriorityQueue<(int At, int LeftId, int RightId, int Result), long>(symbols.Length);
        for (var i = 0; i < symbols.Length; i++) Offer(symbols, i);
        while (queue.TryDequeue(out var pair, out _))
        {
            var right = next[pair.At];
            // A pair of which a part was merged meanwhile is stale. The right part of a merge keeps id -1.
            if (right < 0 || symbols[pair.At].Id != pair.LeftId || symbols[right].Id != pair.RightId) continue;
            symbols[pair.At] = new(pair.Result, symbols[pair.At].Start, symbols[right].End);
            symbols[right].Id = -1;
            next[pair.At] = next[right];
            if (next[right] >= 0) previous[next[right]] = pair.At;
            if (previous[pair.At] >= 0) Offer(symbols, previous[pair.At]);
            Offer(symbols, pair.At);
        }
        var count = 0;
        for (var i = 0; i >= 0; i = next[i]) symbols[count++] = symbols[i];
        return count;

        void Offer(Span<Symbol> span, int at)
        {
            if (next[at] is var right && right >= 0 && merges.TryGet(span[at].Id, span[right].Id, out var rank, out var result))
                queue.Enqueue((at, span[at].Id, span[right].Id, result), (long)rank << 32 | (uint)at);
        }
    }
}
