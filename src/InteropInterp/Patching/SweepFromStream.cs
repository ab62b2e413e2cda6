using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans.Checking;
using InteropInterp.Randomness;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>Means that are known already, over many texts: those of a stream.</summary>
/// <param name="Means">By hook point name, for every layer that is swept: [unit], the same at every position, or [positions, unit], of
/// which the first are taken.</param>
public sealed record SweepFromMeans(IReadOnlyDictionary<string, Tensor> Means) : SweepSource
{
    internal override Tensor Given(TransformerModel model, CheckedPlan plan, HookPoint point)
    {
        var shape = StreamValues.Shape(plan, point);
        var mean = StreamValues.Of(Means, "mean", point, shape, model);
        return (mean.dim() == shape.Length - 2 ? mean : mean.narrow(0, 0, shape[1])).expand(shape).contiguous();
    }
}

/// <summary>For each row and position one of some sampled activations: those of a stream's reservoir.</summary>
/// <param name="Samples">By hook point name, for every layer that is swept: [samples, unit]. Points with as many samples draw the same
/// ones, so that what was sampled together stays together.</param>
/// <param name="Seed">The same seed draws the same samples.</param>
public sealed record SweepFromSamples(IReadOnlyDictionary<string, Tensor> Samples, ulong Seed = 0) : SweepSource
{
    internal override Tensor Given(TransformerModel model, CheckedPlan plan, HookPoint point)
    {
        var shape = StreamValues.Shape(plan, point);
        var samples = StreamValues.Of(Samples, "sample", point, shape, model);
        InterpException.Require(samples.dim() == shape.Length - 1 && samples.size(0) > 0, "STREAM_VALUE_SHAPE",
            $"The samples at '{point.Name}' are [{string.Join(", ", samples.shape)}]; [samples, {string.Join(", ", shape.Skip(2))}] is expected.");
        var drawn = new long[shape[0] * shape[1]];
        for (var row = 0; row < shape[0]; row++)
        {
            var draws = new CounterDraws(Seed, row);
            for (var position = 0; position < shape[1]; position++) drawn[row * shape[1] + position] = draws.Below((int)samples.size(0));
        }
        return samples.index_select(0, tensor(drawn, device: samples.device)).view(shape);
    }
}

/// <summary>What a stream gathered at a point, checked against where it shall stand.</summary>
internal static class StreamValues
{
    public static long[] Shape(CheckedPlan plan, HookPoint point) => plan.Catalogue.Shape(point, plan.RowCount, plan.Length, plan.Length);

    /// <summary>[unit] or [many, unit], in the model's type.</summary>
    /// <exception cref="InterpException">STREAM_LACKS_POINT, STREAM_VALUE_SHAPE.</exception>
    public static Tensor Of(IReadOnlyDictionary<string, Tensor> values, string what, HookPoint point, long[] shape, TransformerModel model)
    {
        if (!values.TryGetValue(point.Name, out var value))
            throw InterpException.Unknown("STREAM_LACKS_POINT", $"{what} of a stream:", point.Name, values.Keys);
        var unit = shape[2..];
        var fits = value.shape.SequenceEqual(unit) || (value.dim() == shape.Length - 1 && value.shape.AsSpan(1).SequenceEqual(unit));
        InterpException.Require(fits, "STREAM_VALUE_SHAPE",
            $"The {what} at '{point.Name}' is [{string.Join(", ", value.shape)}]; [{string.Join(", ", unit)}] is expected, or more of them.");
        InterpException.Require(what != "mean" || value.dim() == unit.Length || value.size(0) >= shape[1], "STREAM_VALUE_SHAPE",
            $"The means at '{point.Name}' are of {value.size(0)} positions; the rows have {shape[1]}.");
        return value.to(model.DataType, model.Device);
    }
}
