// Times the engine on the peers' jobs and writes the peers' JSON.
// usage: InteropInterp.Benchmarks [--json FILE] [--only SUBSTRING] [--smollm2 FILE.gguf | --growth]

using InteropInterp;
using InteropInterp.Benchmarks;
using InteropInterp.Native;

string? Option(string name) => Array.IndexOf(args, name) is >= 0 and var at ? args[at + 1] : null;

LibTorch.Load();
var report = new Report("interopinterp", Option("--json"));
report.Add("gemm", ("gflops", Gemm.Rate()));
if (Option("--smollm2") is { } file)
{
    SmolLM2.Run(file, report);
}
else if (args.Contains("--growth"))
{
    using var model = BenchmarkModel.Load();
    Growth.Run(model, report);
}
else
{
    var only = Option("--only") ?? "";
    // While none holds the model: those who ask for one that is loaded share it.
    if ("load_processed".Contains(only, StringComparison.Ordinal)) report.Add("load_processed", Clock.Measure(() => BenchmarkModel.Load().Dispose(), 3));
    using var model = BenchmarkModel.Load();
    new Jobs(model, report, only).Run();
}

report.Add("gemm_end", ("gflops", Gemm.Rate()));
