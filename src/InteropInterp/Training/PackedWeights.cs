using InteropInterp.Models.Weights;
using static TorchSharp.torch;

namespace InteropInterp.Training;

/// <summary>A model's weights by name, as they are stored and multiplied: what an optimiser updates in place.</summary>
internal static class PackedWeights
{
    public static IEnumerable<KeyValuePair<string, Tensor>> Of(ModelWeights weights) =>
        Named(weights).Where(w => w.Tensor is not null).Select(w => KeyValuePair.Create(w.Name, w.Tensor!));

    private static IEnumerable<(string Name, Tensor? Tensor)> Named(ModelWeights w)
    {
        yield return ("embed", w.Embed);
        yield return ("positions", w.Positions);
        for (var l = 0; l < w.Blocks.Count; l++)
            foreach (var (name, tensor) in Named(w.Blocks[l])) yield return ($"blocks.{l}.{name}", tensor);
        foreach (var (name, tensor) in Named("ln_final", w.FinalNorm)) yield return (name, tensor);
        // Tied embeddings are one tensor, which is trained once.
        yield return ("unembed", ReferenceEquals(w.Unembed, w.Embed) ? null : w.Unembed);
        yield return ("unembed_bias", w.UnembedBias);
    }

    private static IEnumerable<(string Name, Tensor? Tensor)> Named(BlockWeights block) =>
    [
        .. Named("ln1", block.Ln1),
        ("attn.qkv", block.Attention.Qkv), ("attn.qkv_bias", block.Attention.QkvBias),
        ("attn.output", block.Attention.Output), ("attn.output_bias", block.Attention.OutputBias),
        .. Named("ln2", block.Ln2),
        ("mlp.in", block.Mlp?.In), ("mlp.in_bias", block.Mlp?.InBias), ("mlp.post_bias", block.Mlp?.PostBias),
        .. Named("mlp.norm", block.Mlp?.Norm),
        ("mlp.out", block.Mlp?.Out), ("mlp.out_bias", block.Mlp?.OutBias),
    ];

    private static IEnumerable<(string Name, Tensor? Tensor)> Named(string name, NormWeights? norm) =>
        [($"{name}.weight", norm?.Weight), ($"{name}.bias", norm?.Bias)];
}
