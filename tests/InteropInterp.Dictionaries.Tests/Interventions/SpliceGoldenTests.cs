using InteropInterp.Dictionaries.Captures;
using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Dictionaries.Tests.Support;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Interventions;

/// <summary>Dictionaries spliced into a model, against SAELens's HookedSAETransformer.</summary>
public class SpliceGoldenTests
{
    // The fixtures allow 1e-4.
    private const double Tolerance = 1e-5;

    public static TheoryData<string> Folders =>
    [
        "saelens_standard", "saelens_standard_constant_norm", "saelens_standard_hook_z", "saelens_topk_rescaled", "saelens_jumprelu",
        "saelens_jumprelu_hook_z",
    ];

    [Theory, MemberData(nameof(Folders))]
    public void Logits_of_a_spliced_model_are_SAELenss(string name)
    {
        using var fixture = new Fixture(name);
        using var model = Fixture.TinyModel();
        using var dictionary = DictionaryLoader.Load(fixture.Folder);
        var spliced = fixture.Facts.GetProperty("spliced");
        Assert.Equal(spliced.GetProperty("hook_name").GetString(), dictionary.HookName);
        var ablate = FeatureEdit.Ablate(spliced.GetProperty("ablated_feature").GetInt32());

        Near("logits_clean", []);
        Near("logits_sae", [DictionaryHook.At(new SpliceOp(dictionary))]);
        Near("logits_sae_error_term", [DictionaryHook.At(new SpliceOp(dictionary) { UseErrorTerm = true })]);
        Near("logits_sae_error_term_feature_ablated", [DictionaryHook.At(SpliceOp.Edit(dictionary, ablate))]);
        Near("logits_sae_feature_ablated", [DictionaryHook.At(new SpliceOp(dictionary) { Edits = [ablate] })]);
        var excluded = spliced.GetProperty("excluded_token_ids").EnumerateArray().Select(e => e.GetInt32()).ToList();
        Near("logits_sae_excluding_tokens",
            [.. TokenSelectors.Except(Rows(fixture), excluded).Select(where => DictionaryHook.At(new SpliceOp(dictionary), where))]);

        void Near(string golden, IReadOnlyList<Intervention> interventions)
        {
            using var run = Run(model, fixture, interventions);
            fixture.Golden.Near(golden, run.Logits!, Tolerance, $"{name} {golden}");
        }
    }

    [Theory, MemberData(nameof(Folders))]
    public void Captured_codes_reconstructions_and_errors_are_those_of_the_activation_before_the_splice(string name)
    {
        using var fixture = new Fixture(name);
        using var model = Fixture.TinyModel();
        using var dictionary = DictionaryLoader.Load(fixture.Folder);
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows(fixture),
            Interventions = [DictionaryHook.At(new SpliceOp(dictionary))],
            Captures =
            [
                .. Enum.GetValues<DictionaryPart>()
                    .Select(part => DictionaryHook.At(new DictionaryCapture(dictionary, part)) with { Before = true }),
                new Capture(dictionary.HookName),
            ],
        });
        var before = $"{dictionary.HookName}_before.";
        // x of the fixture is the model's own activation, computed once more here.
        fixture.Codes("codes", run[before + "hook_sae_acts_post"], 1e-4);
        fixture.Near("hidden_pre", run[before + "hook_sae_acts_pre"], 1e-4);
        fixture.Near("recon", run[before + "hook_sae_output"], 1e-4);
        fixture.Near("sae_error", run[before + "hook_sae_error"], 1e-4);
        fixture.Near("recon", run[dictionary.HookName], 1e-4);
    }

    [Theory, MemberData(nameof(Folders))]
    public void An_edit_with_the_error_term_equals_both_reconstructions_spelled_out(string name)
    {
        using var fixture = new Fixture(name);
        using var model = Fixture.TinyModel(ScalarType.Float64);
        using var dictionary = Fixture.InFloat64(name);
        var features = new[] { fixture.Facts.GetProperty("ablated_feature").GetInt32(), 3 };
        IReadOnlyList<FeatureEdit> edits = [FeatureEdit.Clamp(3, features[0]), FeatureEdit.Scale(-0.5, features)];

        using var edited = Run(model, fixture, DictionaryHook.At(SpliceOp.Edit(dictionary, edits)));
        using var spelled = Run(model, fixture, new Intervention(dictionary.HookName, new CallbackOp((x, _) =>
        {
            using var scope = NewDisposeScope();
            var codes = dictionary.Encode(x);
            var factors = ones(dictionary.Config.Width, ScalarType.Float64);
            factors[features[1]] = tensor(-0.5, ScalarType.Float64);
            factors[features[0]] = tensor(0, ScalarType.Float64);
            var clamped = zeros(dictionary.Config.Width, ScalarType.Float64);
            clamped[features[0]] = tensor(-1.5, ScalarType.Float64);
            var changed = dictionary.Decode((codes * factors) - clamped.neg(), x) - dictionary.Decode(codes, x);
            return (x - changed.neg()).MoveToOuterDisposeScope();
        })));
        Assert.InRange(Golden.Distance(edited.Logits!, spelled.Logits!), 0, 1e-11);
        using var clean = Run(model, fixture);
        Assert.True(Golden.Distance(edited.Logits!, clean.Logits!) > 1e-3, "the edit changes nothing: so would an op that does nothing");
    }

    [Fact]
    public void A_float32_dictionary_in_a_float64_model_costs_only_its_own_digits()
    {
        using var fixture = new Fixture("saelens_jumprelu");
        using var model = Fixture.TinyModel(ScalarType.Float64);
        using var exact = Fixture.InFloat64("saelens_jumprelu");
        using var single = DictionaryLoader.Load(fixture.Folder);
        Func<SparseDictionary, SpliceOp>[] splices = [d => new SpliceOp(d), d => SpliceOp.Edit(d, FeatureEdit.Clamp(2, 5))];
        foreach (var splice in splices)
        {
            using var a = Run(model, fixture, DictionaryHook.At(splice(exact)));
            using var b = Run(model, fixture, DictionaryHook.At(splice(single)));
            Assert.Equal(ScalarType.Float64, b.Logits!.dtype);
            Assert.InRange(Golden.Distance(a.Logits!, b.Logits), 1e-12, 1e-5);
        }
    }

    private static RunResult Run(TransformerModel model, Fixture fixture, params IReadOnlyList<Intervention> interventions) =>
        PlanRunner.Run(model, new Plan { Rows = Rows(fixture), Interventions = interventions, Outputs = Outputs.AllLogits });

    private static IReadOnlyList<Row> Rows(Fixture fixture) => Row.From(fixture.Golden.Rows("tokens"));
}
