using System.Diagnostics;
using System.Text.Json;

namespace InteropInterp.Cli.Tests;

/// <summary>The built `interp`, run as a process of its own.</summary>
internal static class Interp
{
    private const int Patience = 120_000;

    public sealed record Result(int ExitCode, string Output, string Error)
    {
        /// <summary>Standard output as JSON; fails where it is anything else.</summary>
        public JsonElement Json => JsonDocument.Parse(Output).RootElement;
    }

    public static Result Run(params string[] arguments) => Start(arguments)();

    /// <summary>Starts it; call what is returned to wait for its end.</summary>
    /// <param name="whileRunning">Given the process's id.</param>
    public static Func<Result> Start(string[] arguments, Action<int>? whileRunning = null)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "interp"), arguments) { RedirectStandardOutput = true,
            RedirectStandardError = true };
        var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        return () =>
        {
            using (process)
            {
                whileRunning?.Invoke(process.Id);
                if (!process.WaitForExit(Patience))
                {
                    process.Kill();
                    Assert.Fail($"interp {string.Join(' ', arguments)} does not end. {error.Result}");
                }
                return new Result(process.ExitCode, output.Result, error.Result);
            }
        };
    }

    /// <summary>What Ctrl-C sends.</summary>
    public static void Interrupt(int process)
    {
        using var kill = Process.Start("kill", ["-INT", $"{process}"]);
        kill.WaitForExit();
    }
}
