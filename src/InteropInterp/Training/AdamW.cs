using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Training;

/// <summary>
/// AdamW (Loshchilov and Hutter 2019) over named parameters, all in one fused call per step. Its state, moments and count, is a
/// list of named tensors, so that a checkpoint takes it as it takes weights.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly AdamWOptions options;
    private readonly string[] names;
    private readonly Tensor[] parameters;
    private readonly Tensor[] first;
    private readonly Tensor[] second;
    private readonly Tensor[] counts;
    private readonly Tensor count;

    /// <param name="parameters">
    /// Tensors of one type on one device, contiguous or the transpose of such a one, updated in place; borrowed.
    /// </param>
    public AdamW(IEnumerable<KeyValuePair<string, Tensor>> parameters, AdamWOptions? options = null)
    {
        this.options = options ?? new AdamWOptions();
        this.options.Check();
        var all = parameters.ToList();
        names = [.. all.Select(p => p.Key)];
        this.parameters = [.. all.Select(p => p.Value)];
        InterpException.Require(this.parameters.Length > 0, "NOTHING_TO_TRAIN", "An optimiser needs at least one parameter.");
        using var scope = NewDisposeScope();
        foreach (var (name, tensor) in all)
            InterpException.Require(tensor.is_contiguous() || (tensor.dim() == 2 && tensor.t().is_contiguous()), "PARAMETER_NOT_CONTIGUOUS",
                $"The parameter '{name}' is not contiguous: it would be updated element by wrong element.");
        using var mode = no_grad();
        first = [.. this.parameters.Select(p => zeros_like(p).DetachFromDisposeScope())];
        second = [.. this.parameters.Select(p => zeros_like(p).DetachFromDisposeScope())];
        count = zeros([], ScalarType.Float32, this.parameters[0].device).DetachFromDisposeScope();
        // The kernel reads one count per parameter and writes none: all may be the same.
        counts = [.. this.parameters.Select(_ => count)];
    }

    /// <summary>Moments under "m." and "v." and the parameter's name, and "step": what a checkpoint keeps.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> State =>
        names.Select((name, i) => KeyValuePair.Create($"m.{name}", first[i]))
            .Concat(names.Select((name, i) => KeyValuePair.Create($"v.{name}", second[i])))
            .Append(KeyValuePair.Create("step", count));

    /// <summary>One update of all parameters.</summary>
    /// <param name="gradients">In the parameters' order, each of its parameter's shape.</param>
    public void Step(IReadOnlyList<Tensor> gradients, double learningRate)
    {
        if (gradients.Count != parameters.Length)
            throw new ArgumentException($"{gradients.Count} gradients for {parameters.Length} parameters", nameof(gradients));
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        count.add_(Scalars.One, Scalars.One);
        Ops.FusedAdamW(
            InMemory(parameters), [.. gradients.Select((g, i) => parameters[i].is_contiguous() ? g.contiguous() : g.t().contiguous())],
            InMemory(first), InMemory(second), counts,
            learningRate, options.Beta1, options.Beta2, options.WeightDecay, options.Epsilon);
    }

    // The kernel walks memory, not strides.
    private static Tensor[] InMemory(Tensor[] tensors) => Array.ConvertAll(tensors, t => t.is_contiguous() ? t : t.t());

    public void Dispose()
    {
        foreach (var tensor in first.Concat(second)) tensor.Dispose();
        count.Dispose();
    }
}
