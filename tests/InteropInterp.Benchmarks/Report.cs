using System.Globalization;
using System.Text.Json;

namespace InteropInterp.Benchmarks;

/// <summary>The figures of a run, as the peers' benchmarks write them: printed as they come, and kept as JSON.</summary>
internal sealed class Report(string engine, string? path)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private readonly Dictionary<string, Dictionary<string, double>> jobs = [];

    public void Add(string job, params (string Name, double Value)[] figures)
    {
        jobs[job] = figures.ToDictionary(f => f.Name, f => f.Value);
        Console.WriteLine($"{engine,-14} {job,-34} {string.Join("  ", figures.Select(f => string.Create(CultureInfo.InvariantCulture, $"{f.Name}={f.Value:G6}")))}");
        if (path is not null) File.WriteAllText(path, JsonSerializer.Serialize(new { engine, jobs }, Indented));
    }
}
