using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Dictionaries.Tests.Support;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Interventions;

/// <summary>What flows back through a dictionary: checked against differences of the metric in float64.</summary>
public class SpliceGradientTests
{
    private const string Below = "blocks.0.hook_resid_post", Hook = "blocks.1.hook_resid_pre";

    private static readonly Metric Difference = new LogitDiff([7], [21]);

    public static TheoryData<string> Folders =>
        ["saelens_standard", "saelens_topk_rescaled", "saelens_jumprelu", "saelens_standard_layer_norm", "saelens_standard_constant_norm"];

    [Theory, MemberData(nameof(Folders))]
    public void A_gradient_below_a_splice_is_the_derivative_of_the_metric(string name)
    {
        using var model = Fixture.TinyModel(ScalarType.Float64);
        using var dictionary = Fixture.InFloat64(name);
        CheckDerivative(model, new SpliceOp(dictionary) { Edits = [FeatureEdit.Scale(0.5, 3, 8, 71)] });
    }

    [Fact]
    public void Steering_leaves_the_gradient_whole()
    {
        using var model = Fixture.TinyModel(ScalarType.Float64);
        using var dictionary = Fixture.InFloat64("saelens_standard");
        CheckDerivative(model, new SteerOp(dictionary, 11, 2));
    }

    [Fact]
    public void With_the_error_term_the_gradient_flows_through_the_codes_alone()
    {
        using var model = Fixture.TinyModel(ScalarType.Float64);
        using var dictionary = Fixture.InFloat64("saelens_jumprelu");
        var withError = new SpliceOp(dictionary) { UseErrorTerm = true };

        using var run = Gradients(model, withError);
        using var clean = PlanRunner.Run(model, new Plan { Rows = Rows(), Objective = new Objective { Metric = Difference } });
        Assert.InRange(Golden.Distance(run.Metric!, clean.Metric!), 0, 1e-12);

        // d metric / d x = J_reconstruction(x)^T · d metric / d (what the splice gives), by autograd over the dictionary alone.
        using var above = PlanRunner.Run(model, new Plan
        {
            Rows = Rows(),
            Objective = new Objective { Metric = Difference },
            Captures = [new Capture(Hook) { Gradient = true }, new Capture(Hook)],
        });
        using var scope = NewDisposeScope();
        var x = above[Hook].clone().requires_grad_();
        dictionary.Reconstruct(x).backward([above[$"{Hook}_grad"]]);
        Assert.InRange(Golden.Distance(run[$"{Below}_grad"], x.grad!), 0, 1e-12);
    }

    private static void CheckDerivative(TransformerModel model, InterventionOp op)
    {
        using var run = Gradients(model, op);
        using var scope = NewDisposeScope();
        var gradient = run[$"{Below}_grad"];
        using var generator = new Generator(3);
        var direction = randn(gradient.shape, ScalarType.Float64, generator: generator);
        const double step = 1e-6;
        var (up, down) = (Metric(step), Metric(-step));
        var expected = (gradient * direction).sum().item<double>();
        Assert.Equal(expected, (up - down) / (2 * step), 1e-6 * Math.Max(1, Math.Abs(expected)));
        Assert.True(Math.Abs(expected) > 1e-3, "the metric does not depend on what is below the splice");

        double Metric(double size)
        {
            using var moved = PlanRunner.Run(model, new Plan
            {
                Rows = Rows(),
                Objective = new Objective { Metric = Difference },
                Interventions = [new Intervention(Below, new AddOp(direction, size)), new Intervention(Hook, op)],
            });
            return moved.Metric!.mean().item<double>();
        }
    }

    private static RunResult Gradients(TransformerModel model, InterventionOp op) => PlanRunner.Run(model, new Plan
    {
        Rows = Rows(),
        Objective = new Objective { Metric = Difference },
        Interventions = [new Intervention(Hook, op)],
        Captures = [new Capture(Below) { Gradient = true }],
    });

    private static IReadOnlyList<Row> Rows()
    {
        using var tokens = new Golden(Path.Combine(Fixture.FolderOf("tiny_model"), "golden.safetensors"));
        return Row.From(tokens.Rows("tokens"));
    }
}
