using System.Globalization;
using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Hooks;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Captures;

/// <summary>
/// Keeps what a dictionary makes of an activation, under SAELens's names: <c>blocks.0.hook_resid_pre.hook_sae_acts_post</c> are
/// its codes. Before a splice (<see cref="Capture.Before"/>) they are those that the splice uses.
/// </summary>
/// <param name="Dictionary">Borrowed until the run has ended.</param>
public sealed record DictionaryCapture(SparseDictionary Dictionary, DictionaryPart Part = DictionaryPart.Codes) : ICaptureTransform
{
    public string Suffix => Part switch
    {
        DictionaryPart.PreActivations => "hook_sae_acts_pre",
        DictionaryPart.Codes => "hook_sae_acts_post",
        DictionaryPart.Reconstruction => "hook_sae_output",
        _ => "hook_sae_error",
    };

    public PositionCost Cost => DictionaryOp.EncodingCost(Dictionary);

    public string Identity()
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var weights = Dictionary.Weights;
        Tensor[] all = [weights.Encoder, weights.EncoderBias, weights.Decoder, weights.DecoderBias, .. Dictionary.Architecture.Tensors.Values];
        var sums = all.Select(t => BitConverter.DoubleToInt64Bits(t.sum(ScalarType.Float64).item<double>()).ToString("x", CultureInfo.InvariantCulture));
        return $"{Suffix} of {Dictionary.Config} {Dictionary.Architecture}, {string.Join(' ', sums)}".ReplaceLineEndings(" ");
    }

    public void Check(HookPoint point, IReadOnlyList<long> shape) =>
        DictionaryOp.CheckActivation(Dictionary, $"The capture of '{point.Name}.{Suffix}'", shape);

    public IReadOnlyList<long> Shape(IReadOnlyList<long> shape) => Part is DictionaryPart.Codes or DictionaryPart.PreActivations
        ? [.. shape.Take(shape.Count - (Dictionary.Config.JoinsHeads ? 2 : 1)), Dictionary.Config.Width]
        : shape;

    public Tensor Apply(Tensor activation) => Part switch
    {
        DictionaryPart.PreActivations => Dictionary.PreActivations(activation),
        DictionaryPart.Codes => Dictionary.Encode(activation),
        DictionaryPart.Reconstruction => Dictionary.Reconstruct(activation),
        _ => Dictionary.Error(activation),
    };
}

/// <summary>What of a dictionary's pass is meant.</summary>
public enum DictionaryPart
{
    /// <summary>[..., d_sae], before the architecture makes codes of them.</summary>
    PreActivations,

    /// <summary>[..., d_sae].</summary>
    Codes,

    /// <summary>As the activation, without the error term.</summary>
    Reconstruction,

    /// <summary>Activation minus reconstruction.</summary>
    Error,
}
