using System.Diagnostics;
using System.Text.Json;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Cli.Tests;

public class ServeCommandTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>`interp serve` as a process; killed where a test forgets it.</summary>
    private sealed class Serving : IDisposable
    {
        private readonly Process process;
        private readonly Task<string> log;

        public Serving(params string[] arguments)
        {
            process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "interp"), ["serve", .. arguments])
            {
                RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
            log = process.StandardError.ReadToEndAsync();
        }

        public async Task<string> Line() =>
            await process.StandardOutput.ReadLineAsync().WaitAsync(Patience) ?? throw new InvalidOperationException($"It ended: {await log}");

        public async Task<(int ExitCode, string Output, string Log)> Signal(string name)
        {
            using (var kill = Process.Start("kill", [$"-{name}", $"{process.Id}"])) await kill.WaitForExitAsync();
            await process.WaitForExitAsync().WaitAsync(Patience);
            return (process.ExitCode, await process.StandardOutput.ReadToEndAsync(), await log);
        }

        public void Dispose()
        {
            if (!process.HasExited) process.Kill();
            process.Dispose();
        }
    }

    [Fact]
    public async Task It_says_where_it_listens_serves_the_embedded_model_and_ends_with_SIGTERM()
    {
        using var folder = new TemporaryFolder();
        var token = folder.File("token");
        await File.WriteAllTextAsync(token, "a-token-of-enough-letters\n");
        File.SetUnixFileMode(token, UnixFileMode.UserRead);
        var socket = folder.File("run/socket");
        using var serving = new Serving("--json", "--port", "0", "--socket", socket, "--token-file", token, "--writable-root", folder.Path, "--tensor-memory", "3M");
        var told = JsonDocument.Parse(await serving.Line()).RootElement;
        var addresses = told.GetProperty("addresses").EnumerateArray().Select(a => a.GetString()!).ToList();
        Assert.Equal($"unix://{socket}", addresses[1]);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(socket));
        Assert.Contains(addresses[0], told.GetProperty("python").GetString());

        using (var channel = GrpcChannel.ForAddress(addresses[0].Replace("grpc://", "http://", StringComparison.Ordinal)))
        {
            var deadline = DateTime.UtcNow + Patience;
            var health = await new Health.HealthClient(channel).CheckAsync(new HealthCheckRequest(), deadline: deadline);
            Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, health.Status);
            var models = new ModelService.ModelServiceClient(channel);
            var refused = await Assert.ThrowsAsync<RpcException>(async () => await models.ListModelsAsync(new ListModelsRequest(), deadline: deadline));
            Assert.Equal(StatusCode.Unauthenticated, refused.StatusCode);
            var known = new Metadata { { "authorization", "Bearer a-token-of-enough-letters" } };
            var model = (await models.LoadModelAsync(new LoadModelRequest { Path = "induction" }, known, deadline)).Model;
            Assert.Equal("induction", JsonDocument.Parse(model.ConfigJson).RootElement.GetProperty("model_name").GetString());
            var info = await new ServerService.ServerServiceClient(channel).GetServerInfoAsync(new GetServerInfoRequest(), known, deadline);
            Assert.Equal(3 << 20, info.TensorQuotaBytes);
        }
        var (exitCode, output, log) = await serving.Signal("TERM");
        Assert.Equal((0, ""), (exitCode, output));
        Assert.Contains("Stopping", log);
        Assert.False(File.Exists(socket), "the socket is still there");
    }

    [Fact]
    public async Task For_people_it_prints_what_to_type_and_Ctrl_C_ends_it()
    {
        using var folder = new TemporaryFolder();
        using var serving = new Serving("--socket", folder.File("run/socket"), "--model-root", folder.Path);
        Assert.Equal($"Listening on unix://{folder.File("run/socket")}", await serving.Line());
        Assert.Equal("From Python:", await serving.Line());
        var (exitCode, output, _) = await serving.Signal("INT");
        Assert.Equal(0, exitCode);
        Assert.Contains($"interopinterp.connect(\"unix://{folder.File("run/socket")}\")", output);
    }

    [Fact]
    public void What_it_cannot_do_is_said_at_once()
    {
        using var folder = new TemporaryFolder();
        void Refused(int code, string says, params string[] arguments)
        {
            var r = Interp.Run(["serve", .. arguments]);
            Assert.Equal((code, ""), (r.ExitCode, r.Output));
            Assert.Contains(says, r.Error);
        }
        Refused(2, "needs a token", "--address", "0.0.0.0");
        Refused(2, "IP address", "--address", "localhost.example");
        Refused(2, "0 to 65535", "--port", "70000");
        Refused(2, "512M", "--run-memory", "much");
        Refused(3, folder.File("absent"), "--model-root", folder.File("absent"));
        Refused(3, "no token file", "--token-file", folder.File("absent"));
        File.WriteAllText(folder.File("token"), "a-token-of-enough-letters");
        File.SetUnixFileMode(folder.File("token"), UnixFileMode.UserRead | UnixFileMode.GroupRead);
        Refused(4, "chmod 600", "--token-file", folder.File("token"));
        Refused(2, "certificate", "--certificate", folder.File("token"));
    }
}
