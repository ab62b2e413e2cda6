using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Plans.Interventions;
using InteropInterp.Protocol.Errors;
using static InteropInterp.Protocol.V1.Intervention;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Interventions and their ops.</summary>
public static class InterventionMapping
{
    /// <summary>The ops that are data, for messages that refuse others.</summary>
    internal const string Declarative = "zero, mean, set, patch_from, add, scale, project, splice, feature, steer, noise, resample";

    /// <exception cref="InterpException">FIELD_MISSING where no op is chosen; errors of tensors and references.</exception>
    public static Intervention ToEngine(V1.Intervention message, IReferences references, string field) =>
        new(CaptureMapping.Required(message.Point, $"{field}.point"), Op(message, references, $"{field}."))
        {
            Where = SelectorMapping.ToEngine(message.Where, $"{field}.where"),
            Gradient = message.Gradient,
            IsOptional = message.IsOptional,
        };

    public static V1.Intervention ToProto(Intervention value, IReferenceWriter writer)
    {
        var message = new V1.Intervention
        {
            Point = value.Point,
            Where = SelectorMapping.ToProto(value.Where),
            Gradient = value.Gradient,
            IsOptional = value.IsOptional,
        };
        SetOp(message, value.Op, writer);
        return message;
    }

    private static InterventionOp Op(V1.Intervention message, IReferences references, string field) => message.OpCase switch
    {
        OpOneofCase.Zero => new ZeroOp(),
        OpOneofCase.Mean => new MeanOp(message.Mean.Source, message.Mean.OverPositions),
        OpOneofCase.Set => new SetOp(references.Tensor(message.Set.Value, $"{field}set.value")),
        OpOneofCase.PatchFrom => new PatchFromOp(message.PatchFrom.Source)
        {
            Point = message.PatchFrom.Point.Length > 0 ? message.PatchFrom.Point : null,
            Positions = SelectorMapping.ToEngine(message.PatchFrom.Positions, $"{field}patch_from.positions"),
            Heads = SelectorMapping.ToEngine(message.PatchFrom.Heads, $"{field}patch_from.heads"),
        },
        OpOneofCase.Add => new AddOp(references.Tensor(message.Add.Value, $"{field}add.value"), message.Add.HasFactor ? message.Add.Factor : 1),
        OpOneofCase.Scale => new ScaleOp(message.Scale.Factor),
        OpOneofCase.Project => new ProjectOp(references.Tensor(message.Project.Directions, $"{field}project.directions"), message.Project.Keep),
        OpOneofCase.Splice => new SpliceOp(references.Dictionary(message.Splice.Dictionary))
        {
            UseErrorTerm = message.Splice.UseErrorTerm, Edits = [.. message.Splice.Edits.Select((e, i) => FeatureMapping.ToEngine(e, $"{field}splice.edits[{i}]"))],
        },
        OpOneofCase.Feature => SpliceOp.Edit(references.Dictionary(message.Feature.Dictionary), FeatureMapping.ToEngine(message.Feature, $"{field}feature")),
        OpOneofCase.Steer => new SteerOp(references.Dictionary(message.Steer.Dictionary), message.Steer.Feature, message.Steer.Amount),
        OpOneofCase.Noise => new NoiseOp(message.Noise.Deviation, !message.Noise.IsAbsolute) { Seed = message.Noise.HasSeed ? message.Noise.Seed : null },
        OpOneofCase.Resample => new ResampleOp(references.Tensor(message.Resample.Samples, $"{field}resample.samples"))
        {
            Seed = message.Resample.HasSeed ? message.Resample.Seed : null,
        },
        OpOneofCase.Callback => new CallbackOp(references.Hook(message.Callback.Id, $"{field}callback")),
        _ => throw Fields.Missing($"{field}op", $"one of {Declarative} or callback"),
    };

    private static void SetOp(V1.Intervention message, InterventionOp op, IReferenceWriter writer)
    {
        switch (op)
        {
            case ZeroOp:
                message.Zero = new V1.ZeroOp();
                break;
            case MeanOp mean:
                message.Mean = new V1.MeanOp { Source = mean.Source, OverPositions = mean.OverPositions };
                break;
            case SetOp set:
                message.Set = new V1.SetOp { Value = writer.Tensor(set.Value) };
                break;
            case PatchFromOp patch:
                message.PatchFrom = new V1.PatchFromOp
                {
                    Source = patch.Source, Point = patch.Point ?? "",
                    Positions = SelectorMapping.ToProto(patch.Positions), Heads = SelectorMapping.ToProto(patch.Heads),
                };
                break;
            case AddOp add:
                message.Add = new V1.AddOp { Value = writer.Tensor(add.Value), Factor = add.Factor };
                break;
            case ScaleOp scale:
                message.Scale = new V1.ScaleOp { Factor = scale.Factor };
                break;
            case ProjectOp project:
                message.Project = new V1.ProjectOp { Directions = writer.Tensor(project.Directions), Keep = project.Keep };
                break;
            case SpliceOp { UseErrorTerm: true, Edits: [var edit] } feature:
                message.Feature = FeatureMapping.ToFeatureOp(edit, writer.Dictionary(feature.Dictionary));
                break;
            case SpliceOp splice:
                message.Splice = new V1.SpliceOp
                {
                    Dictionary = writer.Dictionary(splice.Dictionary), UseErrorTerm = splice.UseErrorTerm, Edits = { splice.Edits.Select(FeatureMapping.ToProto) },
                };
                break;
            case SteerOp steer:
                message.Steer = new V1.SteerOp { Dictionary = writer.Dictionary(steer.Dictionary), Feature = steer.Feature, Amount = steer.Amount };
                break;
            case NoiseOp noise:
                message.Noise = new V1.NoiseOp { Deviation = noise.Deviation, IsAbsolute = !noise.OfEmbeddings };
                if (noise.Seed is { } seed) message.Noise.Seed = seed;
                break;
            case ResampleOp resample:
                message.Resample = new V1.ResampleOp { Samples = writer.Tensor(resample.Samples) };
                if (resample.Seed is { } drawn) message.Resample.Seed = drawn;
                break;
            case CallbackOp { Function.Target: IClientFunction function }:
                message.Callback = new V1.CallbackOp { Id = function.Id };
                break;
            default:
                throw new InterpException(ErrorCode.Unimplemented, "OP_NOT_SENT", $"The op '{op.Name}' has no message: it runs where it was made only.");
        }
    }
}
