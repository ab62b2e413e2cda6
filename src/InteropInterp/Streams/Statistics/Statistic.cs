using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Streams.Statistics;

/// <summary>What a probe gathers of the activations that stream past it.</summary>
public abstract record Statistic
{
    /// <summary>What tells two of a probe's statistics apart: a probe has one of each kind.</summary>
    public abstract string Kind { get; }

    /// <summary>Refuses what cannot be gathered, before anything runs.</summary>
    internal virtual void Check(StreamShape shape)
    {
    }

    /// <summary>Bytes it holds, however long the stream is.</summary>
    internal abstract double Bytes(StreamShape shape);

    /// <summary>Begins to gather.</summary>
    internal abstract Accumulator Start(StreamShape shape);

    private protected void Require(bool condition, StreamShape shape, string reason, string message) =>
        InterpException.Require(condition, reason, $"{Kind} at '{shape.Name}': {message}");
}

/// <summary>What streams past a probe.</summary>
/// <param name="Name">The probe's.</param>
/// <param name="Unit">The shape of one token's activation: [d_model], [heads, d_head].</param>
/// <param name="RowLength">Tokens in the longest row.</param>
/// <param name="Device">Where the activations lie.</param>
internal sealed record StreamShape(string Name, IReadOnlyList<long> Unit, int RowLength, Device Device)
{
    /// <summary>Numbers in one token's activation.</summary>
    public int Width { get; } = checked((int)Unit.Aggregate(1L, (a, b) => a * b));
}

/// <summary>
/// What has been gathered so far. Everything it knows lies in tensors of fixed shape, so that it can be written away and go on as if
/// nothing had happened.
/// </summary>
internal abstract class Accumulator : IDisposable
{
    private readonly List<KeyValuePair<string, Tensor>> state = [];

    /// <summary>Its tensors, live.</summary>
    public IReadOnlyList<KeyValuePair<string, Tensor>> State => state;

    /// <summary>Takes in some tokens. No scope of its own, no gradient mode: the caller has both.</summary>
    /// <param name="values">[tokens, width], as computed.</param>
    public abstract void Add(Tensor values, CountedTokens tokens);

    /// <summary>What is known by now, as new tensors in the current scope.</summary>
    public abstract IEnumerable<KeyValuePair<string, Tensor>> Results();

    public void Dispose()
    {
        foreach (var (_, tensor) in state) tensor.Dispose();
    }

    /// <summary>Makes part of the state.</summary>
    protected Tensor Keep(string name, Tensor tensor)
    {
        var kept = tensor.DetachFromDisposeScope();
        state.Add(new(name, kept));
        return kept;
    }

    /// <summary>counts += more, of whole numbers.</summary>
    protected static void Count(Tensor counts, Tensor more) => counts.add_(more, Scalars.IntegerOne);

    protected static KeyValuePair<string, Tensor> Result(string name, Tensor tensor) => new(name, tensor);
}
