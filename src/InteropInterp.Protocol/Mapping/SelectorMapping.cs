using InteropInterp.Plans;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Selectors and indices.</summary>
public static class SelectorMapping
{
    /// <summary>Null where the field is not set.</summary>
    /// <exception cref="InterpException">FIELD_MISSING, INVALID_SLICE.</exception>
    public static Positions? ToEngine(V1.Positions? message, string field) => message?.KindCase switch
    {
        null => null,
        V1.Positions.KindOneofCase.Indices => Positions.At([.. message.Indices.Values]),
        V1.Positions.KindOneofCase.Slice => Slice(message.Slice, field),
        _ => throw Fields.Missing($"{field}.kind", "indices or a slice"),
    };

    public static Selector ToEngine(V1.Selector? message, string field) => message is null ? Selector.All : new Selector
    {
        Rows = ToEngine(message.Rows, $"{field}.rows") ?? Positions.All,
        Positions = ToEngine(message.Positions, $"{field}.positions") ?? Positions.All,
        Heads = ToEngine(message.Heads, $"{field}.heads") ?? Positions.All,
        Last = ToEngine(message.Last, $"{field}.last") ?? Positions.All,
        FromStep = message.FromStep,
        ToStep = message.HasToStep ? message.ToStep : null,
    };

    public static V1.Positions? ToProto(Positions? value)
    {
        if (value is null) return null;
        if (value.Indices is { } indices) return new V1.Positions { Indices = new V1.IndexList { Values = { indices } } };
        var slice = new V1.Slice();
        if (value.Range is var (start, stop, step))
        {
            if (start is { } first) slice.Start = first;
            if (stop is { } last) slice.Stop = last;
            if (step != 1) slice.Step = step;
        }
        return new V1.Positions { Slice = slice };
    }

    public static V1.Selector? ToProto(Selector value)
    {
        if (value == Selector.All) return null;
        var message = new V1.Selector
        {
            Rows = Chosen(value.Rows),
            Positions = Chosen(value.Positions),
            Heads = Chosen(value.Heads),
            Last = Chosen(value.Last),
            FromStep = value.FromStep,
        };
        if (value.ToStep is { } step) message.ToStep = step;
        return message;
    }

    /// <summary>Nothing where all are meant.</summary>
    public static V1.Positions? Chosen(Positions value) => value.IsAll ? null : ToProto(value);

    private static Positions Slice(V1.Slice slice, string field)
    {
        try
        {
            return Positions.Slice(
                slice.HasStart ? slice.Start : null, slice.HasStop ? slice.Stop : null, slice.HasStep ? slice.Step : 1);
        }
        catch (InterpException e)
        {
            throw Fields.Invalid($"{field}.slice", e.Reason, e.Text);
        }
    }
}
