using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using Tensor = TorchSharp.torch.Tensor;

namespace InteropInterp.Protocol.Mapping;

/// <summary>What plans give.</summary>
public static class ResultMapping
{
    /// <summary>The response for a result, whose tensors are taken over one by one; those of a failed response go with the result.</summary>
    public static V1.RunPlanResponse ToProto(RunResult result, Func<Tensor?, V1.Tensor?> give)
    {
        var message = new V1.RunPlanResponse
        {
            Logits = give(result.Logits),
            LossPerToken = give(result.LossPerToken),
            Residual = give(result.Residual),
            Metric = give(result.Metric),
            Captures = { result.Captures.Select(c => new V1.NamedTensor { Name = c.Key, Tensor = give(c.Value) }) },
            Tokens = { (result.Tokens ?? []).Select(row => new V1.TokenRow { Tokens = { row } }) },
            Fired = { result.Fired.Select(ToProto) },
            Offsets = { result.Offsets },
        };
        if (result.Loss is { } loss) message.Loss = loss;
        return message;
    }

    public static V1.CheckPlanResponse ToProto(PlanReport report) => new()
    {
        Flops = report.Flops,
        ResultBytes = report.ResultBytes,
        WorkingBytes = report.WorkingBytes,
        Batches = report.Batches,
        Captures = { report.Captures.Select(c => new V1.CaptureShape { Name = c.Key, Shape = { c.Value } }) },
        Points = { report.Points.Select(p => new V1.PointList { Points = { p } }) },
    };

    private static V1.Fired ToProto(FiredReport report) => new()
    {
        Index = report.Index,
        Point = report.Point,
        Op = report.Op,
        Count = report.Count,
        Points = { report.Points },
        IsOptional = report.IsOptional,
    };
}
