using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Protocol.Errors;
using static InteropInterp.Protocol.V1.Sweep;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Sweeps and their results.</summary>
public static class SweepMapping
{
    private static readonly Dictionary<string, SweepAxis> Axes = new()
    {
        ["layer"] = SweepAxis.Layer,
        ["pos"] = SweepAxis.Position,
        ["head"] = SweepAxis.Head,
        ["src_pos"] = SweepAxis.SourcePosition,
        ["neuron"] = SweepAxis.Neuron,
        ["feature"] = SweepAxis.Feature,
        ["direction"] = SweepAxis.Direction,
        ["corruption"] = SweepAxis.Corruption,
    };

    /// <param name="callback">The client's number for its metric; null where it is declared. Whoever steps the sweep then answers.</param>
    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_GRID, errors of tensors and references; each names the field.</exception>
    public static Sweep ToEngine(V1.Sweep? message, IReferences references, out long? callback, string field = "sweep")
    {
        if (message is null) throw Fields.Missing(field, "a sweep");
        var sweep = new Sweep
        {
            Base = PlanMapping.ToEngine(message.Base, references, $"{field}.base"),
            Grid = ToEngine(message.Grid, message.CustomGrid, references, field),
            Source = message.SourceCase switch
            {
                SourceOneofCase.Run => new SweepFromRun(PlanMapping.ToEngine(message.Run, references, $"{field}.run")),
                SourceOneofCase.Cache => ToCache(message.Cache, references, $"{field}.cache"),
                SourceOneofCase.Zero => new SweepZero(),
                SourceOneofCase.Mean => ToEngine(message.Mean, references, $"{field}.mean"),
                SourceOneofCase.Resample => ToEngine(message.Resample, references, $"{field}.resample"),
                SourceOneofCase.Means => ToMeans(message.Means, references, $"{field}.means"),
                SourceOneofCase.Samples => ToEngine(message.Samples, references, $"{field}.samples"),
                SourceOneofCase.Corruptions => CorruptionMapping.ToEngine(message.Corruptions, references, $"{field}.corruptions"),
                _ => throw Fields.Missing($"{field}.source", "a run, a cache, zero, a mean, a resample, means, samples or corruptions"),
            },
            Layers = SelectorMapping.ToEngine(message.Layers, $"{field}.layers") ?? Positions.All,
            PositionsSwept = SelectorMapping.ToEngine(message.Positions, $"{field}.positions") ?? Positions.All,
            Heads = SelectorMapping.ToEngine(message.Heads, $"{field}.heads") ?? Positions.All,
            SourcePositions = SelectorMapping.ToEngine(message.SourcePositions, $"{field}.source_positions") ?? Positions.All,
            Neurons = SelectorMapping.ToEngine(message.Neurons, $"{field}.neurons") ?? Positions.All,
            Features = SelectorMapping.ToEngine(message.Features, $"{field}.features") ?? Positions.All,
            MemoryBudget = message.HasMemoryBudgetBytes ? message.MemoryBudgetBytes : null,
            MoreMetrics = [.. message.MoreMetrics.Select((m, i) => ObjectiveMapping.ToEngine(m, references, $"{field}.more_metrics[{i}]"))],
        };
        callback = message.Callback?.Id;
        return message.MetricCase switch
        {
            MetricOneofCase.Declared => sweep with { Metric = ObjectiveMapping.ToEngine(message.Declared, references, $"{field}.declared") },
            MetricOneofCase.Callback => sweep with { AsksMetric = true },
            _ => throw Fields.Missing($"{field}.metric", "a declared metric or a callback"),
        };
    }

    /// <param name="callback">The client's number for a metric that is not declared.</param>
    public static V1.Sweep ToProto(Sweep value, IReferenceWriter writer, long callback = 0)
    {
        var message = new V1.Sweep
        {
            Base = PlanMapping.ToProto(value.Base, writer),
            Layers = SelectorMapping.Chosen(value.Layers),
            Positions = SelectorMapping.Chosen(value.PositionsSwept),
            Heads = SelectorMapping.Chosen(value.Heads),
            SourcePositions = SelectorMapping.Chosen(value.SourcePositions),
            Neurons = SelectorMapping.Chosen(value.Neurons),
            Features = SelectorMapping.Chosen(value.Features),
        };
        if (value.MemoryBudget is { } budget) message.MemoryBudgetBytes = budget;
        if (NameOf(value.Grid) is { } name) message.Grid = name;
        else
            message.CustomGrid = new V1.Grid
            {
                Site = SiteMapping.ToProto(value.Grid.Site), Axes = { value.Grid.Axes.Select(ToProto) },
                Dictionaries = { value.Grid.Bases.Select(b => writer.Dictionary(((DictionaryBasis)b).Dictionary)) },
            };
        switch (value.Source)
        {
            case SweepFromRun run:
                message.Run = PlanMapping.ToProto(run.Run, writer);
                break;
            case SweepFromCache cache:
                message.Cache = ToProto(cache, writer);
                break;
            case SweepFromMeans means:
                message.Means = ToProto(means, writer);
                break;
            case SweepFromSamples samples:
                message.Samples = ToProto(samples, writer);
                break;
            case SweepMean mean:
                message.Mean = ToProto(mean, writer);
                break;
            case SweepResample resample:
                message.Resample = ToProto(resample, writer);
                break;
            case SweepCorruptions corruptions:
                message.Corruptions = CorruptionMapping.ToProto(corruptions, writer);
                break;
            default:
                message.Zero = new V1.ZeroOp();
                break;
        }
        message.MoreMetrics.AddRange(value.MoreMetrics.Select(m => ObjectiveMapping.ToProto(m, writer)));
        if (value.Metric is { } metric) message.Declared = ObjectiveMapping.ToProto(metric, writer);
        else message.Callback = new V1.CallbackOp { Id = callback };
        return message;
    }

    internal static SweepFromCache ToCache(V1.ActivationMap message, IReferences references, string field) =>
        new(Activations(message.Activations, references, $"{field}.activations"));

    internal static SweepFromMeans ToMeans(V1.ActivationMap message, IReferences references, string field) =>
        new(Activations(message.Activations, references, $"{field}.activations"));

    internal static SweepFromSamples ToEngine(V1.SampleSource message, IReferences references, string field) =>
        new(Activations(message.Samples, references, $"{field}.samples"), message.Seed);

    internal static V1.ActivationMap ToProto(SweepFromCache value, IReferenceWriter writer) => Activations(value.Activations, writer);

    internal static V1.ActivationMap ToProto(SweepFromMeans value, IReferenceWriter writer) => Activations(value.Means, writer);

    private static V1.ActivationMap Activations(IEnumerable<KeyValuePair<string, TorchSharp.torch.Tensor>> activations, IReferenceWriter writer)
    {
        var message = new V1.ActivationMap();
        foreach (var (point, activation) in activations) message.Activations[point] = writer.Tensor(activation);
        return message;
    }

    internal static V1.SampleSource ToProto(SweepFromSamples value, IReferenceWriter writer)
    {
        var message = new V1.SampleSource { Seed = value.Seed };
        foreach (var (point, sample) in value.Samples) message.Samples[point] = writer.Tensor(sample);
        return message;
    }

    internal static SweepMean ToEngine(V1.MeanSource message, IReferences references, string field) =>
        new(PlanMapping.ToEngine(message.Reference, references, $"{field}.reference"), message.OverPositions);

    internal static SweepResample ToEngine(V1.ResampleSource message, IReferences references, string field) =>
        new(PlanMapping.ToEngine(message.Reference, references, $"{field}.reference"), message.Seed);

    internal static V1.MeanSource ToProto(SweepMean value, IReferenceWriter writer) =>
        new() { Reference = PlanMapping.ToProto(value.Reference, writer), OverPositions = value.OverPositions };

    internal static V1.ResampleSource ToProto(SweepResample value, IReferenceWriter writer) =>
        new() { Reference = PlanMapping.ToProto(value.Reference, writer), Seed = value.Seed };

    public static V1.RunSweepResponse ToProto(SweepResult value)
    {
        var message = Outline(value);
        message.Values.AddRange(value.Values);
        message.PerRow.AddRange(value.PerRow ?? []);
        (message.Baseline, message.Ends) = (value.Baseline, ToProto(value.Metrics[0].Ends));
        message.More.AddRange(value.Metrics.Skip(1).Select(m => new V1.SweepValues
        {
            Values = { m.Values }, PerRow = { m.PerRow ?? [] }, Baseline = m.Baseline, Ends = ToProto(m.Ends),
        }));
        return message;
    }

    /// <summary>Some cells.</summary>
    /// <param name="outline">What the result will be, with the first portion; else null.</param>
    public static V1.SweepPortion ToProto(SweepPortion value, SweepResult? outline) => new()
    {
        Cells = { value.Cells },
        Metrics =
        {
            value.Metrics.Select(m => new V1.SweepValues { Values = { m.Values }, PerRow = { m.PerRow ?? [] }, Baseline = m.Baseline, Ends = ToProto(m.Ends) }),
        },
        Outline = outline is null ? null : Outline(outline),
    };

    private static V1.RunSweepResponse Outline(SweepResult value) => new()
    {
        Shape = { value.Shape },
        Axes = { value.Axes.Select(ToProto) },
        Indices = { value.Indices.Select(i => new V1.IndexList { Values = { i } }) },
        Corruptions = { value.Corruptions },
    };

    private static V1.SweepEnds? ToProto(SweepEnds? value) => value is null ? null : new V1.SweepEnds { Clean = value.Clean, Corrupt = { value.Corrupt } };

    private static Dictionary<string, TorchSharp.torch.Tensor> Activations(
        IEnumerable<KeyValuePair<string, V1.Tensor>> activations, IReferences references, string field) =>
        activations.ToDictionary(a => a.Key, a => references.Tensor(a.Value, $"{field}[\"{a.Key}\"]"));

    private static SweepGrid ToEngine(string name, V1.Grid? custom, IReferences references, string field)
    {
        if (custom is null) return name.Length > 0 ? SweepGrid.Of(name) : throw Fields.Missing($"{field}.grid", "the name of a grid, or a custom_grid,");
        if (name.Length > 0) throw Fields.Invalid($"{field}.custom_grid", "TWO_GRIDS", $"{field} has a grid '{name}' and a custom_grid; one of them is expected.");
        return new SweepGrid(SiteMapping.ToEngine(custom.Site), [.. custom.Axes.Select(axis => Axes.TryGetValue(axis, out var known)
            ? known
            : throw InterpException.Unknown("UNKNOWN_AXIS", "axis", axis, Axes.Keys))])
        {
            Bases = [.. custom.Dictionaries.Select(d => new DictionaryBasis(references.Dictionary(d)))],
        };
    }

    private static string? NameOf(SweepGrid grid) => SweepGrid.Names.FirstOrDefault(name =>
        grid.Bases.Count == 0 && SweepGrid.Of(name) is var named && named.Site == grid.Site && named.Axes.SequenceEqual(grid.Axes));

    private static string ToProto(SweepAxis axis) => Axes.First(a => a.Value == axis).Key;
}
