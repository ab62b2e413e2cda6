using System.Text.Json;
using InteropInterp.Circuits;
using InteropInterp.Circuits.Weights;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Circuits;

/// <summary>TransformerLens 3.9's numbers of circuits on trained models.</summary>
public class CircuitGoldenTests
{
    private const double Tolerance = 2e-5;

    private static string Golden(string file) => SharedFolder.Path("fixtures", "analysis", file);

    private static TransformerModel Shakespeare() => ModelLoader.Load(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"));

    private static TransformerModel Induction() => ModelLoader.Load(
        SharedFolder.Path("models", "04_induction_attn2L", "derived", "induction_head_infinite.safetensors"), new LoadOptions { Processing = ProcessingOptions.None });

    [Fact]
    public void Factored_matrices_are_TransformerLenss()
    {
        using var golden = new Golden(Golden("heads.safetensors"));
        using var model = Shakespeare();
        using var scope = NewDisposeScope();
        var (ov, qk) = (AttentionCircuits.OV(model), AttentionCircuits.QK(model));
        var (m, unembed, embed) = (ov[1, 2], model.Weights.Unembed.t(), model.Weights.Embed);
        var ids = tensor(new[] { 881L, 720, 300, 301, 500 });
        golden.Near("OV[1,2].AB", m.AB, Tolerance);
        golden.Near("QK[1,2].AB", qk[1, 2].AB, Tolerance);
        golden.Near("full_OV[ids,ids]", m.After(embed).Times(unembed).AB.index_select(0, ids).index_select(1, ids), Tolerance);
        golden.Near("full_QK[ids,ids]", qk[1, 2].After(embed).Times(embed.t()).AB.index_select(0, ids).index_select(1, ids), 1e-4);
        golden.Near("FM/BA", m.BA, Tolerance);
        golden.Near("FM/S", m.Svd().S, Tolerance);
        var (u, s, v) = m.Svd();
        golden.Near("FM/U_S_Vt", (u * s).MatMul(v.t()), Tolerance);
        golden.Near("FM/norm_all", ov.Norm(), Tolerance);
        golden.Near("FM/S_all", ov.Svd().S, Tolerance);
        golden.Near("FM/collapse_l_gram", m.CollapseLeft().t().MatMul(m.CollapseLeft()), Tolerance);
        golden.Near("FM/make_even_AB", m.MakeEven().AB, Tolerance);
        golden.Near("FM/make_even_A_gram", m.MakeEven().A.t().MatMul(m.MakeEven().A), Tolerance);
        golden.Near("FM/get_corner", m.Corner(), Tolerance);
        golden.Near("FM/T.AB_corner", m.T.AB[..4, ..4], Tolerance);
        golden.Near("FM/at_vector", m.TimesVector(unembed.select(1, 881)), Tolerance);
        golden.Near("FM/rmatmul_vector", m.AfterVector(embed[881]), Tolerance);
        golden.Near("FM/at_tensor", m.Times(unembed.index_select(1, ids)).AB, Tolerance);
        golden.Near("FM/FM@FM_corner", m.Times(qk[1, 2]).AB[..4, ..4], Tolerance);
        Assert.Equal(32, m.Times(qk[1, 2]).Middle);
        golden.Near("FM/times2_corner", m.Times(2).AB[..3, ..3], Tolerance);
        golden.Near("FM/OV[0,1,3,5].AB", ov[0, 1, 3, 5].AB, Tolerance);
        var expected = golden["FM/eigenvalues_sorted_abs"].to(ScalarType.Float64);
        var actual = view_as_real(m.Eigenvalues()).to(ScalarType.Float64);
        Near(expected.square().sum(-1).sqrt(), actual.square().sum(-1).sqrt().sort(0, true).Values);
        Near(expected.sum([0]), actual.sum([0]));
    }

    [Fact]
    public void Copying_and_composition_scores_are_TransformerLenss()
    {
        using var golden = new Golden(Golden("heads.safetensors"));
        using var model = Shakespeare();
        using var copying = CircuitEigenvalues.CopyingScores(model);
        golden.Near("copying_scores", copying, Tolerance);
        foreach (var kind in Enum.GetValues<Composition>())
        {
            using var scores = CompositionScores.All(model, kind);
            golden.Near($"all_composition_scores/{kind}", scores, Tolerance);
        }
        using var values = JsonDocument.Parse(File.ReadAllText(Golden("heads.json")));
        using var scope = NewDisposeScope();
        Assert.Equal(values.RootElement.GetProperty("values").GetProperty("composition_score_one").GetProperty("value").GetDouble(),
            CompositionScores.Of(AttentionCircuits.OV(model, 0)[1], AttentionCircuits.QK(model, 1)[2]).item<float>(), Tolerance);
    }

    [Fact]
    public void An_attention_only_model_has_TransformerLenss_circuits_and_its_induction_stands_out()
    {
        using var golden = new Golden(Golden("attn2l.safetensors"));
        using var model = Induction();
        foreach (var kind in Enum.GetValues<Composition>())
        {
            using var scores = CompositionScores.All(model, kind);
            golden.Near($"all_composition_scores/{kind}", scores, Tolerance);
        }
        using var scope = NewDisposeScope();
        var w = model.Weights;
        golden.Near("OV_full[0,0]", AttentionCircuits.OV(model, 0)[0].After(w.Embed).Times(w.Unembed.t()).AB[..16, ..16], 1e-4);
        golden.Near("QK_pos[0,0]", AttentionCircuits.QK(model, 0)[0].After(w.Positions!).Times(w.Positions!.t()).AB[..16, ..16], 1e-4);
        var baseline = CompositionBaseline.Measure(model.Config.ModelWidth, model.Config.HeadWidth);
        using var keys = CompositionScores.All(model, Composition.K);
        Assert.True(keys.max().item<float>() > baseline.Mean + 3 * baseline.Deviation);
    }

    [Theory]
    [InlineData(DirectionSource.OV, "OV")]
    [InlineData(DirectionSource.MlpIn, "w_in")]
    [InlineData(DirectionSource.MlpOut, "w_out")]
    public void Singular_directions_are_TransformerLenss(DirectionSource source, string name)
    {
        using var golden = new Golden(Golden("heads.safetensors"));
        using var model = Shakespeare();
        using var directions = SingularDirections.Of(model, source, layer: 1, head: 2, count: 4);
        using var scope = NewDisposeScope();
        golden.Near($"SVD/{name}/abs_first_64_tokens", directions.Logits.narrow(0, 0, 64).abs(), 1e-4);
        using var values = JsonDocument.Parse(File.ReadAllText(Golden("heads.json")));
        var tops = values.RootElement.GetProperty("values").GetProperty($"SVD/{name}/top_abs_tokens").GetProperty("value").EnumerateArray().ToList();
        for (var d = 0; d < 4; d++)
        {
            var (positive, negative) = directions.Tokens(d, 5);
            Assert.All(tops[d].EnumerateArray(), token => Assert.Contains(token.GetInt32(), positive.Concat(negative)));
        }
    }

    private static void Near(Tensor expected, Tensor actual) => Assert.InRange(TestKit.Golden.Distance(actual, expected), 0, Tolerance);
}
