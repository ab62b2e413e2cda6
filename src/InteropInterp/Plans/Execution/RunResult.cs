using static TorchSharp.torch;

namespace InteropInterp.Plans.Execution;

/// <summary>What a plan gives. It owns its tensors.</summary>
public sealed class RunResult : IDisposable
{
    /// <summary>[rows, pos, d_vocab_out], or [rows, 1, d_vocab_out] where only the last were asked for; null where none were.</summary>
    public Tensor? Logits { get; init; }

    /// <summary>Mean next-token cross-entropy in nats; null where it was not asked for.</summary>
    public double? Loss { get; init; }

    /// <summary>[rows, pos - 1]; null where it was not asked for.</summary>
    public Tensor? LossPerToken { get; init; }

    /// <summary>The residual stream where the run stopped early: [rows, pos, d_model].</summary>
    public Tensor? Residual { get; init; }

    /// <summary>The objective's metric per row [rows]; null where there is none.</summary>
    public Tensor? Metric { get; init; }

    /// <summary>Captures by name, in firing order; gradients end in "_grad".</summary>
    public required IReadOnlyDictionary<string, Tensor> Captures { get; init; }

    /// <summary>Prompt and new tokens of each row; null without generation.</summary>
    public IReadOnlyList<IReadOnlyList<int>>? Tokens { get; init; }

    public required IReadOnlyList<FiredReport> Fired { get; init; }

    /// <summary>Of each row, where its first token stands on the position axis: above 0 only for rows padded on the left.</summary>
    public required IReadOnlyList<int> Offsets { get; init; }

    /// <summary>A capture.</summary>
    /// <exception cref="InterpException">UNKNOWN_CAPTURE with the nearest names.</exception>
    public Tensor this[string name] => Captures.TryGetValue(name, out var tensor)
        ? tensor
        : throw InterpException.Unknown("UNKNOWN_CAPTURE", "capture", name, Captures.Keys);

    public void Dispose()
    {
        Logits?.Dispose();
        LossPerToken?.Dispose();
        Residual?.Dispose();
        Metric?.Dispose();
        foreach (var tensor in Captures.Values) tensor.Dispose();
    }
}
