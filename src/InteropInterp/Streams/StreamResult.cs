using static TorchSharp.torch;

namespace InteropInterp.Streams;

/// <summary>What a stream has gathered. It owns its tensors.</summary>
/// <param name="Probes">By name, in the plan's order.</param>
/// <param name="Rows">Rows that were run.</param>
/// <param name="Tokens">Tokens that were counted.</param>
/// <param name="IsComplete">Whether the stream has come to its end.</param>
public sealed record StreamResult(IReadOnlyList<ProbeResult> Probes, long Rows, long Tokens, bool IsComplete) : IDisposable
{
    /// <exception cref="InterpException">UNKNOWN_PROBE with the nearest names.</exception>
    public ProbeResult this[string name] => Probes.FirstOrDefault(p => p.Name == name)
        ?? throw InterpException.Unknown("UNKNOWN_PROBE", "probe", name, Probes.Select(p => p.Name));

    /// <summary>One tensor of every probe that has it, by probe: the means that a sweep or a circuit takes.</summary>
    public IReadOnlyDictionary<string, Tensor> All(string tensor) =>
        Probes.Where(p => p.Tensors.ContainsKey(tensor)).ToDictionary(p => p.Name, p => p[tensor]);

    public void Dispose()
    {
        foreach (var tensor in Probes.SelectMany(p => p.Tensors.Values)) tensor.Dispose();
    }
}

/// <summary>What a probe has gathered.</summary>
/// <param name="Name">The point's, unless the probe has another.</param>
/// <param name="Unit">The shape of one token's activation.</param>
/// <param name="Tensors">By name, on the CPU; each statistic says what it gives.</param>
public sealed record ProbeResult(string Name, IReadOnlyList<long> Unit, IReadOnlyDictionary<string, Tensor> Tensors)
{
    /// <exception cref="InterpException">UNKNOWN_STATISTIC with the nearest names.</exception>
    public Tensor this[string name] => Tensors.TryGetValue(name, out var tensor)
        ? tensor
        : throw InterpException.Unknown("UNKNOWN_STATISTIC", $"statistic of '{Name}':", name, Tensors.Keys);
}
