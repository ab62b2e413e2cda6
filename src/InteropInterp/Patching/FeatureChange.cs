using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>How replacing single features of a layer changes its activation.</summary>
internal sealed class FeatureChange : IDisposable
{
    private readonly FeatureBasis basis;
    private readonly Tensor activation, replaced, codes;
    private readonly Dictionary<int, int> columns;

    /// <param name="features">Those that are swept.</param>
    /// <param name="activation">The base run's, borrowed.</param>
    /// <param name="replaced">Codes that are put in: [rows, pos, features], borrowed.</param>
    public FeatureChange(FeatureBasis basis, IReadOnlyList<int> features, Tensor activation, Tensor replaced)
    {
        (this.basis, this.activation, this.replaced) = (basis, activation, replaced);
        columns = features.Select((feature, column) => (feature, column)).ToDictionary(x => x.feature, x => x.column);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        codes = basis.Codes(activation, features).to(replaced.dtype, replaced.device).alias().DetachFromDisposeScope();
    }

    /// <summary>Whether anything changes: [rows, pos, features] booleans.</summary>
    public Tensor Unequal => replaced.ne(codes);

    /// <summary>Where a feature stands among those that are swept.</summary>
    public int ColumnOf(int feature) => columns[feature];

    /// <summary>What cells add to the activation at some positions: [cells, rows, count, ...].</summary>
    public Tensor Of(IReadOnlyList<SweepCell> cells, int start, int count)
    {
        var chosen = tensor(cells.Select(c => (long)columns[c.Last]).ToArray(), device: codes.device);
        Tensor At(Tensor x) => x.narrow(1, start, count).index_select(2, chosen);
        return basis.Changes(activation.narrow(1, start, count), At(replaced) - At(codes), [.. cells.Select(c => c.Last)]);
    }

    public void Dispose() => codes.Dispose();
}
