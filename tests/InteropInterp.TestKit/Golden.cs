using InteropInterp.Tensors;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace InteropInterp.TestKit;

/// <summary>Tensors of a golden file, and how far ours are from them.</summary>
public sealed class Golden(string path) : IDisposable
{
    private readonly ITensorSource source = SafeTensors.Open(path);

    public IEnumerable<string> Names => source.Entries.Keys;

    public bool Has(string name) => source.Entries.ContainsKey(name);

    /// <summary>In the current scope.</summary>
    public Tensor this[string name] => source.Read(name).alias();

    public int[][] Rows(string name)
    {
        using var scope = NewDisposeScope();
        var t = this[name];
        var flat = t.to(ScalarType.Int64).flatten().data<long>().ToArray();
        var width = (int)t.size(-1);
        return [.. Enumerable.Range(0, flat.Length / width).Select(r => flat.Skip(r * width).Take(width).Select(i => (int)i).ToArray())];
    }

    /// <summary>Fails where a tensor is further than a tolerance from a golden one of the same shape.</summary>
    public void Near(string name, Tensor actual, double tolerance, string? what = null)
    {
        using var scope = NewDisposeScope();
        var expected = this[name];
        Assert.True(actual.shape.SequenceEqual(expected.shape),
            $"{what ?? name}: [{string.Join(", ", actual.shape)}], golden [{string.Join(", ", expected.shape)}]");
        var distance = Distance(actual, expected);
        Assert.True(distance <= tolerance, $"{what ?? name}: off by {distance:G3}, allowed {tolerance:G3}");
    }

    public void Dispose() => source.Dispose();

    /// <summary>The largest absolute difference; equal infinities do not differ, NaN is infinitely far.</summary>
    public static double Distance(Tensor actual, Tensor expected)
    {
        using var scope = NewDisposeScope();
        var a = actual.to(ScalarType.Float64);
        var b = expected.to(ScalarType.Float64);
        if (a.numel() == 0) return 0;
        var difference = (a - b).abs().masked_fill(a.eq(b), Native.Operators.Scalars.Zero);
        var worst = difference.max().item<double>();
        return double.IsNaN(difference.sum().item<double>()) ? double.PositiveInfinity : worst;
    }
}
