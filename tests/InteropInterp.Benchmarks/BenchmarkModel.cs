using System.Text.Json;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;

namespace InteropInterp.Benchmarks;

/// <summary>
/// GPT-2 small's shape with random weights, and token ids that any language can draw again: what every engine is timed on.
/// </summary>
internal static class BenchmarkModel
{
    /// <summary>The folder that the peers' benchmarks wrote, where they have run on this machine.</summary>
    public static string Folder => Path.Combine(
        Environment.GetEnvironmentVariable("BENCH_CACHE") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "interop-bench"),
        "gpt2-small-random");

    /// <summary>The peers' model, or one of the same shape: time does not depend on the numbers.</summary>
    public static HookedTransformer Load(LoadOptions options) => File.Exists(Path.Combine(Folder, "done"))
        ? HookedTransformer.FromPretrained(Folder, options)
        : OfLayers(12, options);

    /// <summary>GPT-2 small's shape with as many layers.</summary>
    public static HookedTransformer OfLayers(int count, LoadOptions options) => HookedTransformer.FromConfig(
        TransformerConfigJson.Parse(JsonSerializer.Serialize(new
        {
            n_layers = count, d_model = 768, n_ctx = 1024, d_head = 64, n_heads = 12, d_mlp = 3072, d_vocab = 50257, act_fn = "gelu_new",
            normalization_type = "LNPre",
        }), "benchmark"), options with { Processing = ProcessingOptions.None });

    /// <summary>Rows of token ids of a 64-bit linear congruential generator.</summary>
    public static IReadOnlyList<Row> Rows(int batch, int length, ulong seed = 0) => Row.From(Tokens(batch, length, seed));

    public static int[][] Tokens(int batch, int length, ulong seed = 0)
    {
        var state = 0x9E3779B97F4A7C15 + seed;
        return [.. Enumerable.Range(0, batch).Select(_ => Enumerable.Range(0, length).Select(_ =>
        {
            state = unchecked((state * 6364136223846793005) + 1442695040888963407);
            return (int)((state >> 33) % 50257);
        }).ToArray())];
    }
}
