using InteropInterp.Hooks;
using InteropInterp.Patching;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Interventions;

/// <summary>
/// A dictionary's features as an axis of sweeps, at the hook point (and the head) it was trained on. Each cell is a splice with error
/// term and one edited feature.
/// </summary>
/// <param name="dictionary">Borrowed until the sweep has ended.</param>
public sealed class DictionaryBasis(SparseDictionary dictionary) : FeatureBasis
{
    /// <inheritdoc/>
    /// <exception cref="InterpException">NO_HOOK_NAME.</exception>
    public override string Point => dictionary.HookName;

    public override int Count => dictionary.Config.Width;

    /// <summary>The dictionary itself.</summary>
    public SparseDictionary Dictionary => dictionary;

    /// <inheritdoc/>
    /// <exception cref="InterpException">DICTIONARY_INPUT.</exception>
    public override void Check(HookPoint point, IReadOnlyList<long> shape)
    {
        if (dictionary.Config.HookHeadIndex is { } head)
        {
            InterpException.Require(shape.Count == 4 && head >= 0 && head < shape[2], "DICTIONARY_INPUT",
                $"The dictionary was trained on head {head} of '{point.Name}', which has {(shape.Count == 4 ? shape[2] : 0)} heads.");
            shape = [shape[0], shape[1], shape[3]];
        }
        DictionaryOp.CheckActivation(dictionary, $"Features at '{point.Name}'", shape);
    }

    public override Tensor Codes(Tensor activation, IReadOnlyList<int> features) => dictionary.Encode(Read(activation), features).to(activation.dtype, activation.device);

    public override Tensor Changes(Tensor activation, Tensor change, IReadOnlyList<int> features)
    {
        var read = Read(activation);
        var each = dictionary.Differences(read, change.to(dictionary.DataType, dictionary.Device), features).to(activation.dtype, activation.device);
        if (dictionary.Config.HookHeadIndex is not { } head) return each;
        var whole = zeros([features.Count, .. activation.shape], activation.dtype, activation.device);
        whole.select(-2, head).copy_(each);
        return whole;
    }

    private Tensor Read(Tensor activation) => dictionary.Config.HookHeadIndex is { } head ? activation.select(-2, head) : activation;
}
