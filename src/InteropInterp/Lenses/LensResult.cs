using static TorchSharp.torch;

namespace InteropInterp.Lenses;

/// <summary>
/// What a lens saw. Streams are in the order of <see cref="Labels"/>, the last being the model's own output. It owns its tensors.
/// </summary>
public sealed record LensResult : IDisposable
{
    /// <summary>0_pre, 0_mid, 1_pre, ..., final_post.</summary>
    public required IReadOnlyList<string> Labels { get; init; }

    /// <summary>The entropy of each stream's prediction, in nats: [streams, rows, positions].</summary>
    public required Tensor Entropy { get; init; }

    /// <summary>KL(final || stream), in nats: [streams, rows, positions]; 0 for the last.</summary>
    public required Tensor KlToFinal { get; init; }

    /// <summary>Logits of the tokens asked for: [streams, rows, positions, tokens]; null where none were.</summary>
    public Tensor? TokenLogits { get; init; }

    /// <summary>Log-probabilities of the tokens asked for, in nats.</summary>
    public Tensor? TokenLogProbs { get; init; }

    /// <summary>How many tokens have a greater logit: int64, 0 for the likeliest.</summary>
    public Tensor? TokenRanks { get; init; }

    /// <summary>The likeliest tokens, best first: int64 [streams, rows, positions, k]; null where none were asked for.</summary>
    public Tensor? TopTokens { get; init; }

    /// <summary>Their log-probabilities, in nats.</summary>
    public Tensor? TopLogProbs { get; init; }

    /// <summary>[streams, rows, positions, d_vocab_out]; null unless asked for.</summary>
    public Tensor? Logits { get; init; }

    public void Dispose()
    {
        Tensor?[] all = [Entropy, KlToFinal, TokenLogits, TokenLogProbs, TokenRanks, TopTokens, TopLogProbs, Logits];
        foreach (var tensor in all) tensor?.Dispose();
    }
}
