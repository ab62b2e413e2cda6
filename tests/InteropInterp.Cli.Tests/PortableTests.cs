using System.Diagnostics;
using System.Text.Json;

namespace InteropInterp.Cli.Tests;

/// <summary>The archive for machines with a Python torch and no .NET, run where the only libtorch is an installed one.</summary>
[Trait("Speed", "slow")]
public sealed class PortableTests : IDisposable
{
    private const long MaxBytes = 40 << 20;
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void It_runs_goldens_and_jobs_on_an_installed_torch()
    {
        var archive = folder.File("portable.tar.xz");
        Run("bash", Path.Combine(SharedFolder.Repository, "scripts", "portable"),
            "--no-build", "--configuration", "Debug", "--level", "1", "--out", archive);
        Assert.InRange(new FileInfo(archive).Length, 1, MaxBytes);
        Run("tar", "-C", folder.Path, "-xf", archive);
        var portable = folder.File("interop-portable");
        // Of libtorch nothing but what TorchSharp puts on top.
        Assert.Equal(["libLibTorchSharp.so"], Directory.GetFiles(Path.Combine(portable, "engine"), "*.so*", SearchOption.AllDirectories).Select(Path.GetFileName));

        var report = folder.File("figures.json");
        Run("python3", Path.Combine(portable, "run.py"), "--torch", Torch(), "--json", report, "--steps", "doctor,goldens,jobs", "--only", "hooks_noop");
        var told = JsonDocument.Parse(File.ReadAllText(report)).RootElement;
        Assert.False(told.TryGetProperty("failed", out var failed), $"{failed}");
        Assert.Equal(("2.10.0+cpu", "cpu"), (told.GetProperty("machine").GetProperty("torch").GetString(), told.GetProperty("device").GetString()));
        Assert.Contains($"installed torch, in {folder.File("site-packages/torch/lib")}", told.GetProperty("doctor").GetProperty("libtorch").GetString());
        var jobs = told.GetProperty("jobs float32");
        Assert.True(jobs.GetProperty("hooks_noop12_b1_t128").GetProperty("median_s").GetDouble() > 0);
        Assert.True(jobs.GetProperty("gemm").GetProperty("gflops").GetDouble() > 0);
        if (!SharedFolder.IsPresent) return;
        var goldens = told.GetProperty("goldens float32").EnumerateArray().ToList();
        Assert.Equal(["gpt2", "llama"], goldens.Select(f => f.GetProperty("family").GetString()));
        Assert.All(goldens, f => Assert.InRange(f.GetProperty("error").GetDouble(), 0, 1e-4));
    }

    // The libtorch that this was built with, laid out as pip lays out torch.
    private string Torch()
    {
        var torch = folder.File("site-packages/torch");
        Directory.CreateDirectory(Path.Combine(torch, "lib"));
        foreach (var file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "libtorch")))
            if (!file.Contains("TorchSharp", StringComparison.Ordinal)) File.CreateSymbolicLink(Path.Combine(torch, "lib", Path.GetFileName(file)), file);
        File.WriteAllText(Path.Combine(torch, "version.py"), "__version__ = '2.10.0+cpu'\ncuda = None\n");
        return torch;
    }

    // Without a .NET to be found, and without another model than the one that the benchmark makes.
    private void Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["BENCH_CACHE"] = folder.File("no-models");
        if (program != "bash")
        {
            start.Environment["PATH"] = "/usr/bin:/bin";
            start.Environment["DOTNET_ROOT"] = folder.File("no-dotnet");
        }
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        if (!process.WaitForExit(180_000)) process.Kill(entireProcessTree: true);
        Assert.True(process.HasExited && process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {output.Result}\n{error.Result}");
    }
}
