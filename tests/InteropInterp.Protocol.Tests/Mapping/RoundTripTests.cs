using System.Collections;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using InteropInterp.Dictionaries;
using InteropInterp.Dictionaries.Architectures;
using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.V1;
using TorchSharp;
using CallbackContext = InteropInterp.Plans.Interventions.CallbackContext;
using Tensor = TorchSharp.torch.Tensor;

namespace InteropInterp.Protocol.Tests.Mapping;

/// <summary>From a message to the engine's types and back: every field of every message of a plan, so that none can be forgotten.</summary>
public class RoundTripTests
{
    // What is needed for a message to be one: a tensor's bytes fit its shape, a sweep has one grid, a slice's step is above 0.
    private static IMessage Legal(IMessage message)
    {
        Visit(message, m =>
        {
            if (m is TensorData data) (data.DataType, data.Data) = (DataType.Float64, ByteString.CopyFrom(Enumerable.Repeat((byte)1, (int)data.Shape[0] * 8).ToArray()));
            if (m is TensorRef reference) reference.Name = "tensors/3";
            // One edit and the error term is what a FeatureOp is.
            if (m is SpliceOp splice) splice.Edits.Add(splice.Edits[0].Clone());
            if (m is NodePatch nodes) nodes.Sites[0] = "mlp.hook_post";
            if (m is SenderSet senders) senders.Senders[0] = "a3.h1";
            if (m is ReceiverSet receivers) receivers.Receivers[0] = "a5.h2<k>";
            if (m is Grid grid)
            {
                grid.Site = "attn.hook_pattern";
                grid.Axes.Clear();
                grid.Axes.Add(["layer", "src_pos"]);
            }
        });
        return message;
    }

    private static void Visit(IMessage message, Action<IMessage> act)
    {
        act(message);
        foreach (var field in message.Descriptor.Fields.InDeclarationOrder())
        {
            if (field.IsMap) foreach (var value in ((IDictionary)field.Accessor.GetValue(message)).Values.OfType<IMessage>()) Visit(value, act);
            else if (field.IsRepeated) foreach (var value in ((IList)field.Accessor.GetValue(message)).OfType<IMessage>()) Visit(value, act);
            else if (field.Accessor.GetValue(message) is IMessage inner) Visit(inner, act);
        }
    }

    private static int FieldsSeen(IEnumerable<IMessage> messages) => messages.SelectMany(m =>
    {
        var seen = new List<string>();
        Visit(m, part => seen.AddRange(part.Descriptor.Fields.InDeclarationOrder()
            .Where(f => f.IsRepeated || f.IsMap ? ((ICollection)f.Accessor.GetValue(part)).Count > 0 : f.HasPresence ? f.Accessor.HasValue(part) : true).Select(f => f.FullName)));
        return seen;
    }).Distinct().Count();

    [Fact]
    public void Every_field_of_a_plan_comes_back()
    {
        var variants = Filled.Variants(Plan.Descriptor).Select(Legal).Cast<Plan>().ToList();
        foreach (var plan in variants)
        {
            using var references = new Known();
            Assert.Equal(plan, PlanMapping.ToProto(PlanMapping.ToEngine(plan, references), references));
        }
        Assert.True(FieldsSeen(variants) > 60, $"the walk reached {FieldsSeen(variants)} fields");
    }

    [Theory]
    [MemberData(nameof(Parts))]
    public void Every_field_of_a_part_comes_back(string name)
    {
        var (type, there) = Mapped[name];
        var variants = Filled.Variants(type).Select(Legal).ToList();
        Assert.NotEmpty(variants);
        foreach (var message in variants)
        {
            using var references = new Known();
            Assert.Equal(message, there(message, references));
        }
    }

    public static TheoryData<string> Parts => [.. Mapped.Keys];

    private static readonly Dictionary<string, (MessageDescriptor Type, Func<IMessage, Known, IMessage?> There)> Mapped = new()
    {
        ["Selector"] = (Selector.Descriptor, (m, _) => SelectorMapping.ToProto(SelectorMapping.ToEngine((Selector)m, ""))),
        ["Positions"] = (Positions.Descriptor, (m, _) => SelectorMapping.ToProto(SelectorMapping.ToEngine((Positions)m, ""))),
        ["Capture"] = (Capture.Descriptor, (m, r) => CaptureMapping.ToProto(CaptureMapping.ToEngine((Capture)m, r, ""), r)),
        ["Intervention"] = (Intervention.Descriptor, (m, r) => InterventionMapping.ToProto(InterventionMapping.ToEngine((Intervention)m, r, ""), r)),
        ["Objective"] = (Objective.Descriptor, (m, r) => ObjectiveMapping.ToProto(ObjectiveMapping.ToEngine((Objective)m, r, ""), r)),
        ["Metric"] = (Metric.Descriptor, (m, r) => ObjectiveMapping.ToProto(ObjectiveMapping.ToEngine((Metric)m, r, ""), r)),
        ["ModelFlags"] = (ModelFlags.Descriptor, (m, _) => ModelMapping.ToProto(ModelMapping.ToEngine((ModelFlags)m))),
        ["LoadOptions"] = (LoadOptions.Descriptor, (m, _) => ModelMapping.ToProto(ModelMapping.ToEngine((LoadOptions)m))),
        ["Sweep"] = (Sweep.Descriptor, (m, r) => SweepMapping.ToProto(SweepMapping.ToEngine(OneGrid((Sweep)m), r, out var callback), r, callback ?? 0)),
        ["NodePatch"] = (NodePatch.Descriptor, (m, r) => AttributionMapping.ToProto(AttributionMapping.ToEngine((NodePatch)m, r), r)),
        ["EdgePatch"] = (EdgePatch.Descriptor, (m, r) => AttributionMapping.ToProto(AttributionMapping.ToEngine((EdgePatch)m, r), r)),
        ["PathPatch"] = (PathPatch.Descriptor, (m, r) => PathMapping.ToProto(PathMapping.ToEngine((PathPatch)m, r), r)),
        ["CircuitTask"] = (CircuitTask.Descriptor, (m, r) => CircuitMapping.ToProto(CircuitMapping.ToEngine((CircuitTask)m, r), r)),
        ["LensOptions"] = (LensOptions.Descriptor, (m, _) => LensMapping.ToProto(LensMapping.ToEngine((LensOptions)m, ""))),
        ["LogitAttribution"] = (LogitAttribution.Descriptor, (m, _) => LensMapping.ToProto(LensMapping.ToEngine((LogitAttribution)m, ""))),
    };

    // A sweep has a named grid or one of its own; here it is its own, and names are tried below.
    private static Sweep OneGrid(Sweep sweep)
    {
        sweep.Grid = "";
        return sweep;
    }

    [Fact]
    public void Every_named_grid_comes_back_by_its_name()
    {
        using var references = new Known();
        foreach (var name in InteropInterp.Patching.SweepGrid.Names)
        {
            var sweep = new Sweep { Base = new Plan { Outputs = new Outputs { Logits = LogitsWanted.None }, PaddingSide = PaddingSide.Right }, Grid = name, Zero = new ZeroOp(), Declared = new Metric { Loss = new LossMetric() } };
            Assert.Equal(sweep, SweepMapping.ToProto(SweepMapping.ToEngine(sweep, references, out _), references));
        }
    }

    [Fact]
    public void What_is_left_out_has_the_engines_defaults()
    {
        using var references = new Known();
        var plan = PlanMapping.ToEngine(new Plan { Generation = new V1.Generation { MaxNewTokens = 3 } }, references);
        Assert.Equal(InteropInterp.Tokens.PaddingSide.Right, plan.PaddingSide);
        Assert.Equal(1, plan.Generation!.Temperature);
        Assert.Equal(1, Assert.IsType<InteropInterp.Plans.Interventions.AddOp>(InterventionMapping.ToEngine(
            new Intervention { Point = "p", Add = new AddOp { Value = new V1.Tensor { Ref = new TensorRef { Name = "tensors/3" } } } }, references, "").Op).Factor);
        Assert.Equal(-1, Assert.IsType<InteropInterp.Plans.Metrics.LogProb>(ObjectiveMapping.ToEngine(new Metric { LogProb = new LogProbMetric { Tokens = { 1 } } }, references, "")).Position);
        Assert.Equal(1, SelectorMapping.ToEngine(new Positions { Slice = new Slice { Start = 2 } }, "")!.Range!.Value.Step);
    }

    [Theory]
    [InlineData("interventions[0].op")]
    [InlineData("interventions[1].point")]
    [InlineData("captures[0].point")]
    [InlineData("captures[0].where.positions.kind")]
    [InlineData("objective.metric.kind")]
    [InlineData("interventions[0].set.value")]
    public void What_must_be_set_and_is_not_is_named(string field)
    {
        var zero = new Intervention { Point = "p", Zero = new ZeroOp() };
        var plan = field switch
        {
            "interventions[0].op" => new Plan { Interventions = { new Intervention { Point = "p" } } },
            "interventions[1].point" => new Plan { Interventions = { zero, new Intervention { Zero = new ZeroOp() } } },
            "captures[0].point" => new Plan { Captures = { new Capture() } },
            "captures[0].where.positions.kind" => new Plan { Captures = { new Capture { Point = "p", Where = new Selector { Positions = new Positions() } } } },
            "objective.metric.kind" => new Plan { Objective = new Objective { Metric = new Metric() } },
            _ => new Plan { Interventions = { new Intervention { Point = "p", Set = new SetOp() } } },
        };
        using var references = new Known();
        var error = Assert.Throws<InterpException>(() => PlanMapping.ToEngine(plan, references));
        Assert.Equal((ErrorCode.InvalidArgument, "FIELD_MISSING", $"plan.{field}"), (error.Code, error.Reason, error.Field));
    }

    [Fact]
    public void Numbers_that_no_enum_has_are_refused()
    {
        using var references = new Known();
        var error = Assert.Throws<InterpException>(() => PlanMapping.ToEngine(new Plan { Outputs = new Outputs { Logits = (LogitsWanted)77 } }, references));
        Assert.Equal(("UNKNOWN_ENUM_VALUE", "plan.outputs.logits"), (error.Reason, error.Field));
        Assert.Contains("77", error.Message);
        Assert.Equal("UNKNOWN_ENUM_VALUE", Assert.Throws<InterpException>(() => PlanMapping.ToEngine(new Plan { PaddingSide = (PaddingSide)9 }, references)).Reason);
        Assert.Equal("UNKNOWN_ENUM_VALUE", Assert.Throws<InterpException>(() => ModelMapping.ToEngine(new LoadOptions { DataType = (DataType)99 })).Reason);
    }

    [Fact]
    public void A_sweep_has_one_grid_and_sites_and_axes_that_there_are()
    {
        using var references = new Known();
        string Refused(Sweep sweep)
        {
            (sweep.Base, sweep.Zero, sweep.Declared) = (new Plan(), new ZeroOp(), new Metric { Loss = new LossMetric() });
            return Assert.Throws<InterpException>(() => SweepMapping.ToEngine(sweep, references, out _)).Reason;
        }
        Assert.Equal("FIELD_MISSING", Refused(new Sweep()));
        Assert.Equal("TWO_GRIDS", Refused(new Sweep { Grid = "resid_pre", CustomGrid = new Grid { Site = "z", Axes = { "layer" } } }));
        Assert.Equal("UNKNOWN_GRID", Refused(new Sweep { Grid = "resid_pro" }));
        Assert.Equal("UNKNOWN_SITE", Refused(new Sweep { CustomGrid = new Grid { Site = "zz", Axes = { "layer" } } }));
        Assert.Equal("UNKNOWN_AXIS", Refused(new Sweep { CustomGrid = new Grid { Site = "z", Axes = { "layer", "neurons" } } }));
        var shorthand = SweepMapping.ToEngine(new Sweep
        {
            Base = new Plan(), Zero = new ZeroOp(), Declared = new Metric { Loss = new LossMetric() }, CustomGrid = new Grid { Site = "mlp_post", Axes = { "layer", "pos" } },
        }, references, out _);
        Assert.Equal(InteropInterp.Hooks.HookSite.MlpPost, shorthand.Grid.Site);
    }

    /// <summary>Remembers which message each tensor and function came from.</summary>
    private sealed class Known : IReferences, IReferenceWriter, IDisposable
    {
        private readonly Dictionary<object, V1.Tensor> messages = new(ReferenceEqualityComparer.Instance);
        private readonly Dictionary<object, string> names = new(ReferenceEqualityComparer.Instance);

        Tensor IReferences.Tensor(V1.Tensor? message, string field)
        {
            if (message is null) throw Protocol.Errors.Fields.Missing(field, "a tensor");
            var tensor = torch.zeros(1).DetachFromDisposeScope();
            messages[tensor] = message;
            return tensor;
        }

        V1.Tensor IReferenceWriter.Tensor(Tensor tensor) => messages[tensor];

        SparseDictionary IReferences.Dictionary(string name)
        {
            using var scope = torch.NewDisposeScope();
            var dictionary = new SparseDictionary(
                new DictionaryConfig { InputWidth = 2, Width = 3 },
                new DictionaryWeights(torch.zeros(3, 2), torch.zeros(3), torch.zeros(3, 2), torch.zeros(2)), new Standard());
            names[dictionary] = name;
            return dictionary;
        }

        string IReferenceWriter.Dictionary(SparseDictionary dictionary) => names[dictionary];

        public Func<Tensor, CallbackContext, Tensor?> Hook(long id, string field) => new Function(id).Call;

        public void Dispose()
        {
            foreach (var held in messages.Keys.Concat(names.Keys)) ((IDisposable)held).Dispose();
        }

        private sealed class Function(long id) : IClientFunction
        {
            public long Id => id;

            public Tensor? Call(Tensor activation, CallbackContext context) => null;
        }
    }
}
