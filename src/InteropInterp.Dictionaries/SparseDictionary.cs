using InteropInterp.Dictionaries.Architectures;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries;

/// <summary>
/// An overcomplete dictionary of directions with an encoder that says which of them an activation is made of: a sparse
/// autoencoder. Immutable; owns its weights; safe for many threads.
/// </summary>
/// <remarks>
/// h = (normalise(x) − b_dec) W_enc + b_enc, codes f = architecture(h), reconstruction = undo(f W_dec + b_dec): SAELens's forward
/// pass (sae_lens/saes/sae.py). Activations of another type or device are converted; results are in the dictionary's own.
/// </remarks>
public sealed class SparseDictionary : IDisposable
{
    // Above this share of active codes a matrix product over all of them is the faster way.
    private const double SparseShare = 0.125;

    private readonly Tensor? norms;

    /// <summary>Takes the weights and the architecture over, out of the current scope.</summary>
    /// <exception cref="InterpException">DICTIONARY_SHAPE, INVALID_K: they do not fit each other.</exception>
    public SparseDictionary(DictionaryConfig config, DictionaryWeights weights, Architecture architecture)
    {
        weights.Check(config);
        architecture.Check(config.Width);
        using var scope = NewDisposeScope();
        Config = config;
        Weights = weights;
        Architecture = architecture;
        (DataType, Device) = (weights.Decoder.dtype, weights.Decoder.device);
        weights.Detach();
        architecture.Detach();
        norms = config.RescalesByDecoderNorm ? weights.Decoder.norm(1).DetachFromDisposeScope() : null;
    }

    public DictionaryConfig Config { get; }
    public DictionaryWeights Weights { get; }
    public Architecture Architecture { get; }

    /// <summary>The type it computes in.</summary>
    public ScalarType DataType { get; }

    public Device Device { get; }

    /// <summary>The hook point it was trained on.</summary>
    /// <exception cref="InterpException">NO_HOOK_NAME where its file does not say.</exception>
    public string HookName => Config.HookName ?? throw InterpException.Precondition("NO_HOOK_NAME",
        "The dictionary does not say which hook point it belongs to (metadata.hook_name); name the point.");

    /// <summary>h, before the architecture makes codes of it and before any rescaling (hook_sae_acts_pre).</summary>
    /// <param name="x">[..., d_in], or [..., heads, d_head] where the dictionary joins heads.</param>
    /// <returns>[..., d_sae].</returns>
    public Tensor PreActivations(Tensor x)
    {
        using var scope = NewDisposeScope();
        return Encoded(Normalize(x)).MoveToOuterDisposeScope();
    }

    /// <summary>Codes f (hook_sae_acts_post).</summary>
    /// <param name="x">[..., d_in], or [..., heads, d_head] where the dictionary joins heads.</param>
    /// <returns>[..., d_sae].</returns>
    public Tensor Encode(Tensor x)
    {
        using var scope = NewDisposeScope();
        return Codes(Normalize(x)).MoveToOuterDisposeScope();
    }

    /// <summary>Codes of some features only, computed without the others where the architecture allows it.</summary>
    /// <param name="features">Of 0 to d_sae - 1.</param>
    /// <returns>[..., count].</returns>
    public Tensor Encode(Tensor x, IReadOnlyList<int> features)
    {
        CheckFeatures(features);
        using var scope = NewDisposeScope();
        return Codes(Normalize(x), Index(features)).MoveToOuterDisposeScope();
    }

    /// <summary>What codes stand for.</summary>
    /// <param name="codes">[..., d_sae].</param>
    /// <param name="x">
    /// The activation they are codes of: needed where each token is normalised, which decoding undoes; it also gives the result
    /// its shape where heads are joined.
    /// </param>
    /// <returns>[..., d_in], or as <paramref name="x"/>.</returns>
    /// <exception cref="InterpException">DECODING_NEEDS_INPUT.</exception>
    public Tensor Decode(Tensor codes, Tensor? x = null)
    {
        InterpException.Require(codes.dim() > 0 && codes.size(-1) == Config.Width, "CODES_SHAPE",
            $"The codes are [{string.Join(", ", codes.shape)}]; [..., {Config.Width}] (d_sae) is expected.");
        InterpException.Require(x is not null || Config.Normalization == Normalization.None, "DECODING_NEEDS_INPUT",
            $"The dictionary normalises each token ({Config.Normalization}); to undo that, decoding needs the activation too.");
        using var scope = NewDisposeScope();
        codes = Own(codes);
        var decoded = x is null ? Decoded(codes) : Restore(Normalize(x).Undo(Decoded(codes)), x);
        return decoded.MoveToOuterDisposeScope();
    }

    /// <summary>What the dictionary makes of an activation.</summary>
    /// <returns>As <paramref name="x"/>.</returns>
    public Tensor Reconstruct(Tensor x)
    {
        using var scope = NewDisposeScope();
        var normalized = Normalize(x);
        return Restore(normalized.Undo(Decoded(Codes(normalized))), x).MoveToOuterDisposeScope();
    }

    /// <summary>The error term x − reconstruction (hook_sae_error).</summary>
    /// <returns>As <paramref name="x"/>.</returns>
    public Tensor Error(Tensor x)
    {
        using var scope = NewDisposeScope();
        return (Own(x) - Reconstruct(x)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// How the reconstruction of an activation changes with the codes of some features: (change · W_dec) in the activation's units.
    /// </summary>
    /// <param name="x">The activation.</param>
    /// <param name="change">New code minus old [..., count].</param>
    /// <param name="features">Which features, count of them.</param>
    /// <returns>As <paramref name="x"/>.</returns>
    public Tensor Difference(Tensor x, Tensor change, IReadOnlyList<int> features)
    {
        CheckFeatures(features);
        using var scope = NewDisposeScope();
        var index = Index(features);
        if (norms is not null) change = change / norms.index_select(0, index);
        var difference = change.MatMul(Weights.Decoder.index_select(0, index));
        return Restore(Normalize(x).Difference(difference), x).MoveToOuterDisposeScope();
    }

    /// <summary>The same for each feature alone.</summary>
    /// <returns>[count, ...] with the axes of <paramref name="x"/>.</returns>
    public Tensor Differences(Tensor x, Tensor change, IReadOnlyList<int> features)
    {
        CheckFeatures(features);
        using var scope = NewDisposeScope();
        var index = Index(features);
        if (norms is not null) change = change / norms.index_select(0, index);
        long[] rows = [features.Count, .. Enumerable.Repeat(1L, (int)change.dim() - 1), Config.InputWidth];
        var each = change.unsqueeze(0).transpose(0, -1) * Weights.Decoder.index_select(0, index).view(rows);
        each = Normalize(x).Difference(each);
        return (Config.JoinsHeads ? each.view([features.Count, .. x.shape]) : each).MoveToOuterDisposeScope();
    }

    /// <summary>A feature's decoder row [d_in], a view in the current scope.</summary>
    public Tensor Direction(int feature)
    {
        CheckFeatures([feature]);
        return Weights.Decoder.select(0, feature);
    }

    /// <summary>
    /// The same dictionary with decoder rows of norm 1 (fold_W_dec_norm): codes are then in units of what they contribute.
    /// Norms below 1e-8 count as 1e-8, so that a row of zeros stays one.
    /// </summary>
    /// <exception cref="InterpException">FOLD_CHANGES_CODES for TopK without rescaling.</exception>
    public SparseDictionary FoldDecoderNorms()
    {
        using var scope = NewDisposeScope();
        using var least = 1e-8.ToScalar();
        var lengths = Weights.Decoder.norm(1).clamp_min(least);
        var column = lengths.unsqueeze(1);
        // Where pre-activations are rescaled by the norms, what the architecture is given does not change.
        var architecture = Config.RescalesByDecoderNorm ? Architecture.Share() : Architecture.Scaled(lengths);
        return new SparseDictionary(
            Config,
            new DictionaryWeights(
                Weights.Encoder * column, Weights.EncoderBias * lengths, Weights.Decoder / column, Weights.DecoderBias.alias()),
            architecture);
    }

    /// <summary>
    /// The dictionary for activations as they are, of one that was trained on activations multiplied by a factor
    /// (fold_activation_norm_scaling_factor).
    /// </summary>
    public SparseDictionary FoldActivationScale(double factor)
    {
        InterpException.Require(double.IsFinite(factor) && factor > 0, "INVALID_SCALE",
            $"The activation scale is {factor}; it must be above 0.");
        InterpException.Require(Config.Normalization == Normalization.None, "INVALID_SCALE",
            $"The dictionary normalises each token ({Config.Normalization}), so a scale of all activations cannot be folded into it.");
        using var scope = NewDisposeScope();
        using var divisor = factor.ToScalar();
        // Norms of decoder rows shrink with the rows, and with them what is compared with a threshold.
        var architecture = Architecture.Scaled(Config.RescalesByDecoderNorm ? 1 / factor : 1);
        return new SparseDictionary(
            Config,
            new DictionaryWeights(
                Weights.Encoder.Times(factor), Weights.EncoderBias.alias(), Weights.Decoder.div(divisor), Weights.DecoderBias.div(divisor)),
            architecture);
    }

    /// <summary>Refuses features that do not exist.</summary>
    /// <exception cref="InterpException">FEATURE_OUT_OF_RANGE.</exception>
    public void CheckFeatures(IReadOnlyList<int> features)
    {
        foreach (var feature in features)
            if (feature < 0 || feature >= Config.Width)
                throw InterpException.OutOfRange("FEATURE_OUT_OF_RANGE",
                    $"Feature {feature} is out of range: the dictionary has {Config.Width} (0 to {Config.Width - 1}).");
    }

    private Tensor Codes(Normalized normalized, Tensor? features = null)
    {
        var isDirect = features is null || Architecture.IsElementwise;
        var h = Encoded(normalized, isDirect ? features : null);
        if (norms is not null) h = h * (isDirect && features is not null ? norms.index_select(0, features) : norms);
        return isDirect ? Architecture.Codes(h, features) : Architecture.Codes(h).index_select(-1, features!);
    }

    private Tensor Encoded(Normalized normalized, Tensor? features = null)
    {
        var input = Config.SubtractsDecoderBias ? normalized.Input - Weights.DecoderBias : normalized.Input;
        return features is null
            ? nn.functional.linear(input, Weights.Encoder, Weights.EncoderBias)
            : nn.functional.linear(input, Weights.Encoder.index_select(0, features), Weights.EncoderBias.index_select(0, features));
    }

    // Before the normalisation is undone. Recorded passes take the dense way: an inactive code has a derivative too.
    private Tensor Decoded(Tensor codes)
    {
        if (norms is not null) codes = codes / norms;
        if (codes.requires_grad) return codes.MatMul(Weights.Decoder).Plus(Weights.DecoderBias);
        using var sparse = SparseCodes.Of(codes, (long)(SparseShare * codes.numel()));
        return (sparse?.Times(Weights.Decoder) ?? codes.MatMul(Weights.Decoder)).PlusInPlace(Weights.DecoderBias);
    }

    private Normalized Normalize(Tensor x)
    {
        var flat = Own(Config.JoinsHeads && x.dim() >= 2 ? x.flatten(-2) : x);
        InterpException.Require(flat.dim() > 0 && flat.size(-1) == Config.InputWidth, "DICTIONARY_INPUT",
            $"The activation is [{string.Join(", ", x.shape)}]; the dictionary reads "
            + $"{(Config.JoinsHeads ? "[..., heads, d_head] with heads · d_head" : "[..., d_in] with d_in")} = {Config.InputWidth}.");
        return Normalized.Of(Config.Normalization, flat);
    }

    private Tensor Own(Tensor x) => x.dtype == DataType && x.device.Equals(Device) ? x : x.to(DataType, Device);

    private Tensor Restore(Tensor flat, Tensor x) => Config.JoinsHeads ? flat.view(x.shape) : flat;

    private Tensor Index(IReadOnlyList<int> features) => tensor(features.Select(f => (long)f).ToArray(), device: Device);

    public void Dispose()
    {
        Weights.Dispose();
        Architecture.Dispose();
        norms?.Dispose();
    }
}
