using InteropInterp.Attribution;
using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Generation;
using InteropInterp.Heads;
using InteropInterp.Hooks;
using InteropInterp.Lenses;
using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models;

/// <summary>
/// Nothing on the engine's ways makes a tensor without saying where. While these run, a tensor of which nobody says where is made on
/// the meta device, which has no numbers: whatever it meets becomes meta too, or refuses, so that no right number can come out.
/// </summary>
[Collection(nameof(NoDefaultDevice))]
public class DeviceRightTests
{
    private static readonly Row[] Rows = [new([5, 9, 17, 3, 8, 30]), new([5, 4, 4, 21, 2, 7])];
    private static readonly Row[] Others = [new([5, 9, 12, 3, 25, 30]), new([5, 6, 4, 21, 33, 7])];
    private static readonly LogitDiff Difference = new([3, 8], [9, 1]);

    /// <summary>Ways through the engine: what comes out, as numbers.</summary>
    internal static readonly Dictionary<string, Func<TransformerModel, double[]>> Ways = new()
    {
        ["logits, loss"] = m => Run(m, new Plan { Rows = Rows, Outputs = new Outputs { Logits = LogitsWanted.All, Loss = true, LossPerToken = true } }),
        ["every hook point"] = m => Run(m, new Plan
        {
            Rows = Rows, Captures = [new Capture("*")],
            Flags = new ModelFlags { UseAttnResult = true, UseSplitQkvInput = true, UseHookMlpIn = !m.Config.AttentionOnly },
        }),
        ["rows of several lengths, padded in front"] = m => Run(m, new Plan
        {
            Rows = [Rows[0], new([5, 4, 4])], PaddingSide = PaddingSide.Left, Outputs = Outputs.AllLogits, Captures = [new Capture("*hook_pattern")],
        }),
        ["rows with holes"] = m => Run(m, new Plan
        {
            Rows = [Rows[0] with { Mask = [false, true, true, false, true, true] }, Rows[1]], Outputs = new Outputs { Loss = true, Logits = LogitsWanted.Last },
        }),
        ["interventions"] = m => Run(m, new Plan
        {
            Rows = Rows, Outputs = Outputs.AllLogits, Seed = 3,
            Sources = new Dictionary<string, Plan> { ["other"] = new() { Rows = Others } },
            Interventions =
            [
                new("blocks.0.hook_resid_pre", new NoiseOp(1)), new("blocks.0.attn.hook_z", new ZeroOp()) { Where = new Selector { Heads = Positions.At(1) } },
                new("blocks.0.attn.hook_z", new ScaleOp(2)) { Where = new Selector { Positions = Positions.At(-1) } },
                new("blocks.0.hook_attn_out", new MeanOp("other", true)), new("blocks.1.hook_resid_pre", new PatchFromOp("other")) { Where = new Selector { Positions = Positions.At(2) } },
                new("blocks.1.attn.hook_pattern", new CallbackOp((pattern, _) => pattern.mul(pattern))),
                new("blocks.1.hook_resid_post", new AddOp(Given.Ramp(m.Config.ModelWidth), 2)),
                new("blocks.1.hook_resid_post", new ProjectOp(Given.Ramp(m.Config.ModelWidth).unsqueeze(0))),
                new("blocks.1.hook_resid_post", new SetOp(Given.Ramp(m.Config.ModelWidth))) { Where = new Selector { Positions = Positions.At(0) } },
            ],
        }),
        ["gradients"] = m => Run(m, new Plan
        {
            Rows = Rows, Objective = new Objective { Metric = Difference },
            Captures = [new Capture("blocks.*.hook_resid_pre") { Gradient = true }, new Capture("blocks.*.attn.hook_pattern") { Gradient = true }],
        }),
        ["metrics"] = m => [.. new Metric[]
        {
            Difference, new LogProb([3]), new Prob([3]), new Rank([3]), new Accuracy([3]), new Loss(), new KlDivergence(Given.Reference(Vocabulary)),
        }.SelectMany(metric => Run(m, new Plan { Rows = Rows, Objective = new Objective { Metric = metric } }))],
        ["generation"] = m => Run(m, new Plan
        {
            Rows = [Rows[0], new([5, 4, 4])], Seed = 1,
            Generation = new GenerationOptions { MaxNewTokens = 4, Temperature = 0.7, TopK = 9, RepetitionPenalty = 1.2, FrequencyPenalty = 0.1 },
        }),
        ["sweeps"] = m => [.. SweepGrid.Names.Select(SweepGrid.Of).Where(grid => Fires(m, grid.Site)).SelectMany(grid => Sweep(m, grid))],
        ["a sweep of rows of several lengths"] = m => [.. SweepRunner.Run(m, new Sweep
        {
            Base = new Plan { Rows = [Rows[0], new([5, 4, 4])] }, Grid = SweepGrid.Of("attn_head_out_all_pos"), Source = new SweepZero(), Metric = Difference,
        }).Values],
        ["attribution of nodes"] = m =>
        {
            using var found = NodePatcher.Run(m, new NodePatch
            {
                Clean = new Plan { Rows = Rows }, Corrupt = new Plan { Rows = Others }, Metric = Difference, FixQueriesAndKeys = true, DropGradients = true,
                Sites = [HookSite.Z, HookSite.Q, HookSite.K, HookSite.V, HookSite.Pattern, HookSite.ResidPre, HookSite.AttnOut],
            });
            using var scope = NewDisposeScope();
            return [.. found.Denoising!.Values.SelectMany(Numbers)];
        },
        ["attribution of edges"] = m => [.. Enum.GetValues<EdgeMethod>().SelectMany(method => EdgePatcher.Run(m, new EdgePatch
        {
            Clean = new Plan { Rows = Rows }, Corrupt = new Plan { Rows = Others }, Metric = Difference, Method = method, Steps = 2,
        }).Values.Cast<double>())],
        ["path patching"] = m => [.. PathPatcher.Run(m, new PathPatch
        {
            Base = new Plan { Rows = Rows }, Source = new Plan { Rows = Others }, Metric = Difference, Senders = PathPatch.EachHead(m.Config),
            Receivers = [[Receiver.Query(1, 2)], [Receiver.Key(1, 1), Receiver.Value(1, 0)], [Receiver.Logits]], ReceiverPositions = Positions.Slice(3),
        }).Values.Cast<double>()],
        ["lenses"] = m =>
        {
            using var lens = LogitLens.Run(m, new Plan { Rows = Rows }, new LensOptions { KeepLogits = true });
            using var scope = NewDisposeScope();
            return Numbers(lens.Logits!);
        },
        ["heads"] = m => [.. HeadDetector.Detect(m, Rows, "induction_head").SelectMany(x => x), .. PrefixMatching.Measure(m, [[3, 7, 9], [8, 2, 6]], 1).SelectMany(x => x)],
    };

    private const int Vocabulary = TinyModels.Vocabulary;

    public static TheoryData<string, string> Cases
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var way in Ways.Keys)
                foreach (var kind in TinyModels.Kinds) data.Add(way, kind);
            return data;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void Every_tensor_is_put_where_the_model_is(string way, string kind)
    {
        // Two of the same weights: what a model makes at first use is made twice.
        using var model = TinyModels.Make(kind, ScalarType.Float32);
        using var other = TinyModels.Make(kind, ScalarType.Float32);
        using var outer = NewDisposeScope();
        var expected = Ways[way](model);
        double[] found;
        using (new NoDefaultDevice()) found = Ways[way](other);
        Assert.NotEmpty(expected);
        Assert.Equal(expected, found);
    }

    [Fact]
    public void A_tensor_without_a_place_has_no_numbers_here()
    {
        using var scope = NewDisposeScope();
        using (new NoDefaultDevice()) Assert.Equal(TorchSharp.DeviceType.META, zeros(2).device_type);
        Assert.Equal(TorchSharp.DeviceType.CPU, zeros(2).device_type);
    }

    private static bool Fires(TransformerModel model, HookSite site) =>
        new HookCatalogue(model.Config, ModelFlags.None).Points.Any(point => point.Site == site);

    private static double[] Sweep(TransformerModel model, SweepGrid grid) => [.. SweepRunner.Run(model, new Sweep
    {
        Base = new Plan { Rows = Rows }, Grid = grid, Source = new SweepFromRun(new Plan { Rows = Others }), Metric = Difference,
    }).Values];

    private static double[] Run(TransformerModel model, Plan plan)
    {
        using var run = PlanRunner.Run(model, plan);
        using var scope = NewDisposeScope();
        return
        [
            .. run.Loss is { } loss ? [loss] : Array.Empty<double>(),
            .. new[] { run.Logits, run.LossPerToken, run.Metric }.OfType<Tensor>().Concat(run.Captures.Values).SelectMany(Numbers),
            .. run.Tokens?.SelectMany(row => row.Select(t => (double)t)) ?? [],
        ];
    }

    private static double[] Numbers(Tensor t) => t.to(ScalarType.Float64).cpu().contiguous().data<double>().ToArray();

    // What a user gives lies where he put it: on the CPU.
    private static class Given
    {
        public static Tensor Ramp(int width) => tensor([.. Enumerable.Range(0, width).Select(i => (i % 5) - 1.5f)], device: CPU);

        public static Tensor Reference(int vocabulary) =>
            tensor([.. Enumerable.Range(0, 2 * vocabulary).Select(i => (i * 7 % 11) / 3f)], [2, vocabulary], device: CPU);
    }
}
