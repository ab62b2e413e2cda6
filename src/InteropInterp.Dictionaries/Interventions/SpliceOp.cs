using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Interventions;

/// <summary>
/// The dictionary's reconstruction in the activation's place, its codes edited on the way (SAELens's run_with_saes, with hooks at
/// hook_sae_acts_post).
/// </summary>
/// <remarks>
/// With the error term the result is reconstruction + (x − unedited reconstruction): x itself but for what the edits change, so
/// only edited features are computed where the architecture allows it. The error is a constant to gradients, as in SAELens: what
/// flows back flows through the codes.
/// </remarks>
public sealed record SpliceOp(SparseDictionary Dictionary) : DictionaryOp(Dictionary)
{
    /// <summary>Add what the dictionary does not reconstruct.</summary>
    public bool UseErrorTerm { get; init; }

    /// <summary>Done to the codes, in this order.</summary>
    public IReadOnlyList<FeatureEdit> Edits { get; init; } = [];

    /// <summary>Edits features and leaves everything else of the activation as it is.</summary>
    public static SpliceOp Edit(SparseDictionary dictionary, params IReadOnlyList<FeatureEdit> edits) =>
        new(dictionary) { UseErrorTerm = true, Edits = edits };

    public override string Name => "splice";

    public override PositionCost Cost => EncodingCost(Dictionary);

    public override void Check(OpTarget target)
    {
        base.Check(target);
        foreach (var edit in Edits) Dictionary.CheckFeatures(edit.Features);
    }

    public override Tensor Apply(Tensor region, OpInput input)
    {
        using var scope = NewDisposeScope();
        var result = !UseErrorTerm ? Decoded(region)
            : region.requires_grad ? Decoded(region).Plus((region - Like(region, Dictionary.Reconstruct(region))).detach())
            : WithErrorTerm(region);
        return result.MoveToOuterDisposeScope();
    }

    private Tensor Decoded(Tensor x)
    {
        var codes = Dictionary.Encode(x);
        foreach (var edit in Edits) codes = edit.Apply(codes, Columns(edit.Features));
        return Like(x, Dictionary.Decode(codes, x));
    }

    private Tensor WithErrorTerm(Tensor x)
    {
        var features = Edits.SelectMany(e => e.Features).Distinct().ToList();
        if (features.Count == 0) return x.clone();
        var codes = Dictionary.Encode(x, features);
        var edited = codes;
        foreach (var edit in Edits) edited = edit.Apply(edited, Columns([.. edit.Features.Select(f => features.IndexOf(f))]));
        return x.Plus(Like(x, Dictionary.Difference(x, edited - codes, features)));
    }

    // A dictionary may compute in another type than the model.
    private static Tensor Like(Tensor x, Tensor result) => result.to(x.dtype, x.device);

    private Tensor Columns(IReadOnlyList<int> features) => tensor(features.Select(f => (long)f).ToArray(), device: Dictionary.Device);
}
