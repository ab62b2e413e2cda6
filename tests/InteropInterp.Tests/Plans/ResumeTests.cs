using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

/// <summary>A run that stops at a layer and one that starts there are together one full run.</summary>
public class ResumeTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5]), new([9, 2, 6, 5, 3])];

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel"), InlineData("attention")]
    public void Stop_and_start_compose(string kind)
    {
        using var model = TinyModels.Make(kind);
        using var full = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Outputs = new Outputs { Logits = LogitsWanted.All, LossPerToken = true },
            Captures = [new Capture("blocks.1.hook_resid_pre"), new Capture("blocks.1.hook_attn_out")],
        });
        foreach (var layer in new[] { 1, -1 })
        {
            using var first = PlanRunner.Run(model, new Plan { Rows = Rows, StopAtLayer = layer });
            Assert.Null(first.Logits);
            using var rest = PlanRunner.Run(model, new Plan
            {
                Rows = Rows,
                Residual = first.Residual,
                StartAtLayer = layer,
                Outputs = new Outputs { Logits = LogitsWanted.All, LossPerToken = true },
            });
            Assert.Equal(0, Golden.Distance(rest.Logits!, full.Logits!), 1e-9);
            Assert.Equal(0, Golden.Distance(rest.LossPerToken!, full.LossPerToken!), 1e-9);
        }
        using var stopped = PlanRunner.Run(model, new Plan { Rows = Rows, StopAtLayer = 1 });
        Assert.Equal(0, Golden.Distance(stopped.Residual!, full["blocks.1.hook_resid_pre"]), 1e-12);
        using var one = PlanRunner.Run(model, new Plan { Residual = stopped.Residual, StartAtLayer = 1, StopAtLayer = 2, Captures = [new Capture("blocks.1.hook_attn_out")] });
        Assert.Equal(0, Golden.Distance(one["blocks.1.hook_attn_out"], full["blocks.1.hook_attn_out"]), 1e-9);
    }

    [Fact]
    public void Outputs_agree_with_each_other_and_with_their_definitions()
    {
        using var model = TinyModels.Make("gpt2");
        Row[] rows = [new([3, 1, 4, 1, 5]), new([9, 2, 6])];
        using var all = PlanRunner.Run(model, new Plan
        {
            Rows = rows,
            Outputs = new Outputs { Logits = LogitsWanted.All, Loss = true, LossPerToken = true },
            Objective = new Objective { Metric = new LogitDiff([7, 1], [2, 5]) },
        });
        using var last = PlanRunner.Run(model, new Plan { Rows = rows, Outputs = new Outputs { Logits = LogitsWanted.Last } });
        using var scope = NewDisposeScope();
        var (sum, count) = (0.0, 0);
        for (var i = 0; i < 2; i++)
        {
            var end = rows[i].Length - 1;
            Assert.Equal(0, Golden.Distance(last.Logits![i, 0], all.Logits![i, end]), 1e-9);
            Assert.Equal((all.Logits[i, end, new[] { 7, 1 }[i]] - all.Logits[i, end, new[] { 2, 5 }[i]]).item<double>(), all.Metric![i].item<double>(), 1e-9);
            for (var p = 0; p < end; p++)
            {
                var loss = -all.Logits[i, p].log_softmax(-1)[rows[i].Tokens[p + 1]].item<double>();
                Assert.Equal(loss, all.LossPerToken![i, p].item<double>(), 1e-9);
                (sum, count) = (sum + loss, count + 1);
            }
        }
        // Padding does not count.
        Assert.Equal(sum / count, all.Loss!.Value, 1e-9);
    }
}
