using InteropInterp.Dictionaries.Formats;
using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Dictionaries.Tests.Support;
using InteropInterp.Hooks;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Formats;

/// <summary>Dictionaries that SAELens saved, against what it computes with them.</summary>
public class SaeLensGoldenTests
{
    public static TheoryData<string> Folders =>
    [
        .. Whole, "saelens_standard_bf16", "saelens_topk_rescaled_inference_save", "saelens_batchtopk_as_jumprelu",
        "saelens_matryoshka_as_jumprelu", "saelens_legacy_v2", "saelens_legacy_v3_hook_z", "saelens_legacy_v5_topk",
        "saelens_legacy_scaling_factor",
    ];

    /// <summary>Those with everything recorded.</summary>
    public static TheoryData<string> Whole =>
    [
        "saelens_standard", "saelens_standard_no_bdec", "saelens_standard_layer_norm", "saelens_standard_constant_norm",
        "saelens_standard_hook_z", "saelens_topk", "saelens_topk_layer_norm", "saelens_topk_rescaled", "saelens_jumprelu",
        "saelens_jumprelu_no_bdec", "saelens_jumprelu_hook_z",
    ];

    [Theory, MemberData(nameof(Folders))]
    public void Codes_and_reconstructions_are_SAELenss(string name)
    {
        using var fixture = new Fixture(name);
        using var scope = NewDisposeScope();
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            using var dictionary = DictionaryLoader.Load(fixture.Folder, new DictionaryOptions { DataType = dtype });
            var x = fixture.Golden["x"];
            var codes = dictionary.Encode(x);
            Assert.Equal(dtype, codes.dtype);
            fixture.Codes("codes", codes);
            fixture.Near("recon", dictionary.Decode(codes, x));
            fixture.Near("recon", dictionary.Reconstruct(x));
            if (fixture.Golden.Has("hidden_pre")) fixture.Near("hidden_pre", dictionary.PreActivations(x));
        }
    }

    [Theory, MemberData(nameof(Whole))]
    public void Error_terms_and_an_ablated_feature_are_SAELenss(string name)
    {
        using var fixture = new Fixture(name);
        using var dictionary = DictionaryLoader.Load(fixture.Folder);
        using var scope = NewDisposeScope();
        var x = fixture.Golden["x"];
        var ablate = SpliceOp.Edit(dictionary, FeatureEdit.Ablate(fixture.Facts.GetProperty("ablated_feature").GetInt32()));
        fixture.Near("sae_error", dictionary.Error(x));
        fixture.Near("recon_with_error_term", dictionary.Reconstruct(x) - dictionary.Error(x).neg());
        fixture.Near("recon_with_error_term", Apply(new SpliceOp(dictionary) { UseErrorTerm = true }, x));
        fixture.Near("recon_with_error_feature_ablated", Apply(ablate, x));
        // The recorded way computes all of it.
        fixture.Near("recon_with_error_feature_ablated", Apply(ablate, x.clone().requires_grad_()).detach());
    }

    [Theory, MemberData(nameof(Whole))]
    public void Folding_decoder_norms_gives_SAELenss_numbers_or_is_refused_where_it_refuses(string name)
    {
        using var fixture = new Fixture(name);
        using var dictionary = DictionaryLoader.Load(fixture.Folder);
        if (fixture.Facts.GetProperty("fold_W_dec_norm").GetString() != "ok")
        {
            Assert.Equal("FOLD_CHANGES_CODES", Assert.Throws<InterpException>(dictionary.FoldDecoderNorms).Reason);
            return;
        }
        using var folded = dictionary.FoldDecoderNorms();
        using var scope = NewDisposeScope();
        var x = fixture.Golden["x"];
        fixture.Codes("folded.codes", folded.Encode(x));
        fixture.Near("folded.recon", folded.Reconstruct(x));
        foreach (var (tensor, value) in SaeLensFolder.StateDict(folded))
            if (fixture.Golden.Has($"folded.{tensor}")) fixture.Near($"folded.{tensor}", value);
    }

    [Fact]
    public void A_training_checkpoint_of_batchtopk_computes_by_its_threshold_what_its_inference_file_does()
    {
        foreach (var name in new[] { "saelens_batchtopk_as_jumprelu", "saelens_matryoshka_as_jumprelu" })
        {
            using var fixture = new Fixture(name);
            using var dictionary = DictionaryLoader.Load(Path.Combine(fixture.Folder, "checkpoint"));
            using var scope = NewDisposeScope();
            fixture.Codes("codes", dictionary.Encode(fixture.Golden["x"]));
            fixture.Near("recon", dictionary.Reconstruct(fixture.Golden["x"]));
            using var folded = dictionary.FoldDecoderNorms();
            fixture.Codes("codes", folded.Encode(fixture.Golden["x"]));
        }
    }

    [Fact]
    public void A_training_checkpoint_of_topk_computes_SAELenss_training_numbers()
    {
        using var fixture = new Fixture("saelens_topk_rescaled_inference_save");
        using var dictionary = DictionaryLoader.Load(Path.Combine(fixture.Folder, "checkpoint"));
        using var scope = NewDisposeScope();
        fixture.Codes("training_codes", dictionary.Encode(fixture.Golden["x"]));
        fixture.Near("training_recon", dictionary.Reconstruct(fixture.Golden["x"]));
    }

    [Theory]
    [InlineData("saelens_standard_expected_average")]
    [InlineData("saelens_jumprelu")]
    public void An_activation_scale_is_folded_as_SAELens_folds_it(string name)
    {
        using var fixture = new Fixture(name);
        var factor = fixture.Facts.GetProperty("norm_scaling_factor").GetDouble();
        using var dictionary = DictionaryLoader.Load(fixture.Folder, new DictionaryOptions { ActivationScale = factor });
        using var scope = NewDisposeScope();
        var x = fixture.Golden["x"];
        fixture.Codes("scale_folded.codes", dictionary.Encode(x));
        fixture.Codes("scaled_by_hand.codes", dictionary.Encode(x));
        fixture.Near("scaled_by_hand.recon", dictionary.Reconstruct(x));
        fixture.Near("scale_folded.b_dec", dictionary.Weights.DecoderBias);
        fixture.Near("scale_folded.b_enc", dictionary.Weights.EncoderBias);
    }

    [Theory]
    [InlineData("saelens_standard_expected_average")]
    [InlineData("saelens_legacy_normalize_true")]
    public void Without_its_activation_scale_a_dictionary_is_refused_and_scale_1_gives_SAELenss_number(string name)
    {
        using var fixture = new Fixture(name);
        Assert.Equal("ACTIVATION_SCALE_MISSING", Assert.Throws<InterpException>(() => DictionaryLoader.Load(fixture.Folder)).Reason);
        using var dictionary = DictionaryLoader.Load(fixture.Folder, new DictionaryOptions { ActivationScale = 1 });
        using var scope = NewDisposeScope();
        fixture.Codes("codes", dictionary.Encode(fixture.Golden["x"]));
        fixture.Near("recon", dictionary.Reconstruct(fixture.Golden["x"]));
    }

    private static Tensor Apply(SpliceOp op, Tensor x) =>
        op.Apply(x, new OpInput(new HookPoint(HookSite.ResidPre, 1), [0, 1], [0, 1], 0, 0, null));
}
