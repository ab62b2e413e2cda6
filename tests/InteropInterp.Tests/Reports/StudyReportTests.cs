using System.Globalization;
using InteropInterp.Models;
using InteropInterp.Reports;
using InteropInterp.Studies;
using InteropInterp.Studies.IndirectObjects;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Reports;

public class StudyReportTests
{
    [Fact]
    public void A_model_of_broken_weights_has_a_page_of_no_numbers()
    {
        using var model =
            HookedTransformer.FromConfig(new TransformerConfig { LayerCount = 1, ModelWidth = 8, HeadWidth = 4,
                ContextLength = 16, VocabularySize = 20, AttentionOnly = true });
        using (NewDisposeScope())
        using (var nan = float.NaN.ToScalar()) model.Weights["blocks.0.attn.W_Q"].fill_(nan);
        var study = ModelStudy.Run(model, new InductionStudyOptions { Rows = 1, PatchedRows = 1, SingleHeads = 1 });
        Assert.True(double.IsNaN(study.Induction.RepeatLoss));
        Assert.Contains(">nan<", StudyReport.Page(study, model.Config, []).ToHtml());
    }

    [Fact]
    public void The_page_shows_every_part_of_a_study_and_opens_offline()
    {
        using var model = HookedTransformer.FromPretrained("induction");
        var study = ModelStudy.Run(model, new InductionStudyOptions { Rows = 2, PatchedRows = 2, SingleHeads = 2 });
        var indirect = new IndirectObjectResult { Layers = [1], Heads = 4, CleanByPrompt = [2], CorruptByPrompt = [-1],
            Restored = [0.1, -0.2, 0.7, 0.3] };
        var html = StudyReport.Page(study with { IndirectObject = indirect }, model.Config, ["Who <is> it"]).ToHtml();
        FragmentTests.SelfContained(html);
        foreach (var expected in new[]
        {
            "Inside induction", "2 layers of 4 heads", study.Induction.RepeatLoss.ToString("0.000", CultureInfo.InvariantCulture),
            "All heads of the layer together", "BB (", "1.2 (0.700)", "Who hands it on to whom", "-&gt;logits", "Who &lt;is&gt; it", "Previous token",
        }) Assert.Contains(expected, html);
        Assert.Equal(8, html.Split("<figure class=\"interp-pattern\">").Length - 1);
        Assert.Contains(study.WhyNoIndirectObject!, System.Net.WebUtility.HtmlDecode(StudyReport.Page(study, model.Config, []).ToHtml()));
    }
}
