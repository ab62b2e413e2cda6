using System.Globalization;
using InteropInterp.Cli.Output;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Native;
using InteropInterp.Plans;
using InteropInterp.Tensors;
using Spectre.Console;
using static TorchSharp.torch;

namespace InteropInterp.Cli.Commands;

/// <summary>
/// How far this engine's logits are from Hugging Face's, for every model folder with golden numbers: golden.safetensors with
/// input_ids and hf.logits.
/// </summary>
internal static class GoldenTable
{
    private const string File = "golden.safetensors";

    // What float32 may differ by, whatever the order of sums; TF32 and bfloat16 have 1/8192 and 1/65536 of its mantissa, float16 as TF32.
    private static double Tolerance(LoadOptions options) => options.DataType switch
    {
        ScalarType.BFloat16 => 0.5,
        ScalarType.Float16 => 0.1,
        _ => LibTorch.Info!.Tf32 && options.Device != "cpu" ? 0.1 : 1e-4,
    };

    /// <param name="Error">The largest absolute difference of a logit; null where it does not run.</param>
    /// <param name="Status">"ok", "off", or why it does not run.</param>
    public sealed record Entry(string Family, double? Error, string Status);

    /// <exception cref="InterpException">FOLDER_NOT_FOUND.</exception>
    public static string Folder(string? named)
    {
        var shared = Environment.GetEnvironmentVariable("INTEROPINTERP_SHARED");
        var folder = named ?? (string.IsNullOrEmpty(shared) ? null : Path.Combine(shared, "fixtures", "families"));
        if (folder is null)
            throw InterpException.Invalid("FOLDER_NOT_FOUND", "--models needs a folder: name it, or set INTEROPINTERP_SHARED.");
        return Directory.Exists(folder) ? folder : throw InterpException.NotFound("FOLDER_NOT_FOUND", $"There is no folder '{folder}'.");
    }

    public static IReadOnlyList<Entry> Measure(string folder, LoadOptions options, Session session)
    {
        var families = Directory.GetDirectories(folder).Where(f => System.IO.File.Exists(Path.Combine(f, File)))
            .Order(StringComparer.Ordinal).ToList();
        if (families.Count == 0) throw InterpException.NotFound("FOLDER_NOT_FOUND", $"No folder in '{folder}' has a {File}.");
        return ProgressBar.Run(bar => families.Select((family, i) =>
        {
            session.Cancellation.ThrowIfCancellationRequested();
            bar.Report("families", i, families.Count);
            return Of(family, options);
        }).Where(entry => entry is not null).Select(entry => entry!).ToList());
    }

    private static Entry? Of(string folder, LoadOptions options)
    {
        var name = Path.GetFileName(folder);
        using var golden = SafeTensors.Open(Path.Combine(folder, File));
        if (!golden.Entries.ContainsKey("hf.logits") || !golden.Entries.ContainsKey("input_ids")) return null;
        try
        {
            using var model = ModelLoader.Load(folder, options with { Processing = ProcessingOptions.None });
            using var scope = NewDisposeScope();
            var ids = golden.Read("input_ids").to(ScalarType.Int64);
            var rows = Enumerable.Range(0, (int)ids.size(0))
                .Select(r => ids[r].contiguous().data<long>().ToArray().Select(id => (int)id).ToArray());
            using var run = PlanRunner.Run(model, new Plan { Rows = Row.From(rows), Outputs = Outputs.AllLogits });
            var error = (run.Logits!.to(ScalarType.Float32).cpu() - golden.Read("hf.logits", ScalarType.Float32)).abs().max().item<float>();
            return new Entry(name, error, error <= Tolerance(options) ? "ok" : "off");
        }
        catch (InterpException e)
        {
            return new Entry(name, null, e.Reason);
        }
    }

    public static void Print(IAnsiConsole console, IReadOnlyList<Entry> entries, LoadOptions options)
    {
        var table = Tables.Of("family", "error", "");
        foreach (var e in entries) table.Add(e.Family, e.Error?.ToString("0.0e+00", CultureInfo.InvariantCulture) ?? "", e.Status);
        console.Titled("Largest difference of a logit from Hugging Face's", table);
        int Count(string status) => entries.Count(e => e.Status == status);
        var notRun = entries.Count(e => e.Error is null);
        console.Line($"{Count("ok")} of {entries.Count} within {Tolerance(options):0.0e+0}, {Count("off")} off, {notRun} not run.");
    }
}
