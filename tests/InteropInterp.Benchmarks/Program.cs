// Times the engine on the peers' jobs and writes the peers' JSON.
// usage: InteropInterp.Benchmarks [--json FILE] [--only SUBSTRING] [--smollm2 FILE.gguf | --growth]
//                                 [--device cpu|cuda:N] [--dtype float32] [--tf32]

using InteropInterp;
using InteropInterp.Benchmarks;
using InteropInterp.Models;
using InteropInterp.Native;

string? Option(string name) => Array.IndexOf(args, name) is >= 0 and var at ? args[at + 1] : null;

LibTorch.Load(args.Contains("--tf32") ? new LibTorchOptions { Tf32 = true } : null);
var options = new LoadOptions { Device = Option("--device") ?? "cpu", DataType = ComputeTypes.Of(Option("--dtype") ?? "float32") };
ComputeTypes.Check(options.Device, options.DataType);
var device = Devices.Of(options.Device);
var report = new Report("interopinterp", Option("--json"));
report.Add("gemm", ("gflops", Gemm.Rate(device, options.DataType)));
if (Option("--smollm2") is { } file)
{
    SmolLM2.Run(file, options, report);
}
else if (args.Contains("--growth"))
{
    using var model = BenchmarkModel.Load(options);
    new Growth(model, options, report).Run();
}
else
{
    var only = Option("--only") ?? "";
    // While none holds the model: those who ask for one that is loaded share it.
    if ("load_processed".Contains(only, StringComparison.Ordinal))
        report.Add("load_processed", new Clock(device).Measure(() => BenchmarkModel.Load(options).Dispose(), 3));
    using var model = BenchmarkModel.Load(options);
    new Jobs(model, report, only).Run();
}

report.Add("gemm_end", ("gflops", Gemm.Rate(device, options.DataType)));
