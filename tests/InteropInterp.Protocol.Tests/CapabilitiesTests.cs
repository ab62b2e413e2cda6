using System.Reflection;
using InteropInterp.Circuits;
using InteropInterp.Models;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.Methods;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Protocol.Tests;

/// <summary>What the engine can do, the protocol offers: the table beside the tests has every way in, and every row of it is true.</summary>
public class CapabilitiesTests
{
    private static readonly string[] Folders = ["Attribution", "Caches", "Circuits", "Circuits.Paths", "Heads", "Lenses", "Patching"];

    private static readonly List<string[]> Table = [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "capabilities.tsv"))
        .Where(line => line.Length > 0 && line[0] != '#').Select(line => line.Split('\t'))];

    [Fact]
    public void Every_way_into_an_analysis_is_in_the_table()
    {
        var missing = Entries().Distinct().Except(Table.Select(row => row[0])).Order();
        Assert.Empty(missing);
    }

    [Fact]
    public void Every_row_names_something_of_the_engine()
    {
        var types = typeof(CircuitRunner).Assembly.GetExportedTypes().ToLookup(t => t.Name);
        Assert.All(Table.Select(row => row[0].Split('.')), name =>
            Assert.Contains(name[1], types[name[0]].SelectMany(t => t.GetMethods()).Select(m => m.Name)));
        Assert.Distinct(Table.Select(row => row[0]));
    }

    [Fact]
    public void Every_row_names_a_method_that_is_offered()
    {
        using var tensors = new TensorStore(new TensorStoreOptions());
        var unary = new MethodTable(new Workspace { Tensors = tensors, Work = new CallerWork(), IsInProcess = true }).Unary.Select(m => m.FullName);
        var streaming = RunService.Descriptor.Methods.Where(m => m.IsServerStreaming).Select(m => $"{m.Service.FullName}/{m.Name}");
        Assert.Empty(Table.Select(row => $"interopinterp.v1.{row[1]}").Except(unary.Concat(streaming)));
    }

    // Public static methods that take a model, or what circuits of one are run on. Those that do the same step by step are
    // called Start...
    private static IEnumerable<string> Entries() =>
        from type in typeof(CircuitRunner).Assembly.GetExportedTypes()
        where Folders.Select(f => $"InteropInterp.{f}").Contains(type.Namespace)
        from method in type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly)
        where !method.Name.StartsWith("Start", StringComparison.Ordinal)
            && method.GetParameters().Any(p => p.ParameterType == typeof(TransformerModel) || p.ParameterType == typeof(CircuitRunner))
        select $"{type.Name}.{method.Name}";
}
