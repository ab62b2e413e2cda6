using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Lenses;

/// <summary>What is kept of logits, a few positions at a time.</summary>
internal sealed class LensReadings(TransformerModel model, LensOptions options) : IDisposable
{
    private readonly List<Tensor> entropy = [], kl = [], logits = [];
    private readonly List<Tensor> tokenLogits = [], tokenLogProbs = [], ranks = [], topTokens = [], topLogProbs = [];

    private IEnumerable<List<Tensor>> All => [entropy, kl, tokenLogits, tokenLogProbs, ranks, topTokens, topLogProbs, logits];

    /// <param name="streams">[streams, n, d_model], the final one last.</param>
    /// <param name="tokens">[n, tokens] int64.</param>
    public void Read(Tensor streams, Tensor? tokens)
    {
        using var scope = NewDisposeScope();
        long count = streams.size(0), n = streams.size(1);
        // One product for all streams: [streams · n, d] -> [streams, n, vocabulary].
        var scores = model.Unembed(streams.reshape(count * n, -1)).view(count, n, -1);
        if (options.KeepLogits) Keep(logits, scores.clone());
        var normalizer = scores.logsumexp(-1, keepdim: true);
        if (tokens is not null)
        {
            var index = tokens.unsqueeze(0).expand(count, -1, -1);
            var wanted = scores.gather(-1, index);
            Keep(tokenLogits, wanted);
            Keep(tokenLogProbs, wanted - normalizer);
            Keep(ranks, stack([.. Enumerable.Range(0, (int)tokens.size(1)).Select(t => scores.gt(wanted.narrow(-1, t, 1)).sum(-1))], -1));
        }
        if (options.TopK > 0)
        {
            var (values, indices) = scores.topk((int)Math.Min(options.TopK, scores.size(-1)), -1, true, true);
            Keep(topTokens, indices);
            Keep(topLogProbs, values - normalizer);
        }
        var logProbs = scores.sub_(normalizer);
        var final = logProbs[count - 1].exp();
        // Σ p_final log p of each stream: one product per position, [n, streams, vocabulary] [n, vocabulary, 1].
        var cross = logProbs.transpose(0, 1).MatMul(final.unsqueeze(-1)).squeeze(-1).t();
        Keep(kl, (cross[count - 1].unsqueeze(0) - cross).clamp_min(Scalars.Zero));
        Keep(entropy, logProbs.exp().mul_(logProbs).sum(-1).neg());
    }

    /// <summary>The pieces put together; the caller owns the result.</summary>
    public LensResult Finish(IReadOnlyList<string> labels, long rows, long positions)
    {
        Tensor? Join(List<Tensor> pieces)
        {
            if (pieces.Count == 0) return null;
            var joined = pieces.Count == 1 ? pieces[0].alias() : cat([.. pieces], 1);
            return joined.reshape([labels.Count, rows, positions, .. joined.shape[2..]]).DetachFromDisposeScope();
        }

        using var scope = NewDisposeScope();
        return new LensResult
        {
            Labels = labels,
            Entropy = Join(entropy)!,
            KlToFinal = Join(kl)!,
            TokenLogits = Join(tokenLogits),
            TokenLogProbs = Join(tokenLogProbs),
            TokenRanks = Join(ranks),
            TopTokens = Join(topTokens),
            TopLogProbs = Join(topLogProbs),
            Logits = Join(logits),
        };
    }

    private static void Keep(List<Tensor> pieces, Tensor value) => pieces.Add(value.contiguous().DetachFromDisposeScope());

    public void Dispose()
    {
        foreach (var tensor in All.SelectMany(pieces => pieces)) tensor.Dispose();
    }
}
