using InteropInterp.Protocol.Errors;
using InteropInterp.Streams.Statistics;
using static InteropInterp.Protocol.V1.Statistic;

namespace InteropInterp.Protocol.Mapping;

/// <summary>What a stream gathers.</summary>
public static class StatisticMapping
{
    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_ENUM_VALUE.</exception>
    public static Statistic ToEngine(V1.Statistic message, string field) => message.KindCase switch
    {
        KindOneofCase.Moments => new Moments(UpTo(message.Moments.UpTo, $"{field}.moments.up_to")),
        KindOneofCase.PositionMoments => new PositionMoments(message.PositionMoments.WithVariance),
        KindOneofCase.Histogram => new Histogram([.. message.Histogram.Edges]),
        KindOneofCase.Firing => new Firing(message.Firing.Above),
        KindOneofCase.Top => Top(message.Top),
        KindOneofCase.Reservoir => new Reservoir(message.Reservoir.Count, message.Reservoir.Seed),
        _ => throw Fields.Missing(field, "moments, position_moments, histogram, firing, top or reservoir"),
    };

    private static TopExamples Top(V1.TopStatistic message)
    {
        var defaults = new TopExamples(message.K);
        return defaults with
        {
            Before = message.HasBefore ? message.Before : defaults.Before,
            After = message.HasAfter ? message.After : defaults.After,
            Above = message.HasAbove ? message.Above : null,
            OnePerRow = message.OnePerRow,
            Smallest = message.Smallest,
        };
    }

    private static Moment UpTo(V1.Moment moment, string field) => moment switch
    {
        V1.Moment.Unspecified or V1.Moment.Mean => Moment.Mean,
        V1.Moment.Variance => Moment.Variance,
        V1.Moment.Covariance => Moment.Covariance,
        _ => throw Fields.UnknownValue(field, moment),
    };
}
