using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text.Json;
using InteropInterp.Native.Loading;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests;

/// <summary>
/// What needs a process of its own: this executable starts itself with a task in its environment, and does that instead of
/// running tests.
/// </summary>
internal static class ChildProcess
{
    private const string Task = "INTEROPINTERP_TEST_CHILD";

    /// <summary>What a child found out.</summary>
    public sealed record Report(
        string? Reason, string? Message, string? Origin = null, bool IsPrivate = false, string[]? Libraries = null, double Product = 0);

    /// <summary>Loads libtorch in a fresh process and multiplies.</summary>
    public static Report Load(params (string Name, string Value)[] environment) =>
        JsonSerializer.Deserialize<Report>(Start("load", environment)())!;

    /// <summary>Starts a process; call what is returned to wait for its output.</summary>
    public static Func<string> Start(string task, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        foreach (var name in new[] { "INTEROPINTERP_LIBTORCH", "INTEROPINTERP_PRIVATE_LIBTORCH" }) start.Environment.Remove(name);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        start.Environment[Task] = task;
        var process = Process.Start(start)!;
        return () =>
        {
            var output = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(60_000)) process.Kill();
            Assert.Equal(0, process.ExitCode);
            process.Dispose();
            return output.Result;
        };
    }

    [ModuleInitializer]
    internal static void RunIfChild()
    {
        switch (Environment.GetEnvironmentVariable(Task))
        {
            case "load":
                Console.WriteLine(JsonSerializer.Serialize(LoadHere()));
                Environment.Exit(0);
                break;
            case "copy":
                var cache = LibraryCache.Default();
                var source = Path.Combine(AppContext.BaseDirectory, "libtorch", "libc10.so");
                Console.WriteLine(cache.Get(source, "copy.so", "test", image => image.DemoteUniqueSymbols()));
                Environment.Exit(0);
                break;
        }
    }

    private static Report LoadHere()
    {
        try
        {
            var info = LibTorch.Load();
            using var scope = NewDisposeScope();
            var two = Ops.Full([64, 64], 2, ScalarType.Float32);
            return new(null, null, info.Origin, info.IsPrivate, [.. info.Libraries.Values], two.MatMul(two)[0, 0].item<float>());
        }
        catch (InterpException e)
        {
            return new(e.Reason, e.Message);
        }
    }
}
