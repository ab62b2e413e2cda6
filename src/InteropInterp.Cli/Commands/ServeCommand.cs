using System.CommandLine;
using System.Net;
using InteropInterp.Cli.Output;
using InteropInterp.Plans.Execution;
using InteropInterp.Server;

namespace InteropInterp.Cli.Commands;

/// <summary>`interp serve`: the engine over gRPC, until Ctrl-C or SIGTERM.</summary>
internal static class ServeCommand
{
    private const int DefaultPort = 50051;
    private static readonly ServerLimits Defaults = new();

    private static readonly Option<int?> Port = new("--port", "-p")
    {
        Description = $"port to listen on, 0 for any that is free [default: {DefaultPort}, or none with --socket]", HelpName = "N",
    };
    private static readonly Option<string?> Address =
        new("--address") { Description = "IP address to listen on; any but loopback needs --token-file [default: 127.0.0.1]", HelpName = "IP" };
    private static readonly Option<string?> Socket =
        new("--socket") { Description = "unix socket to listen on, for this user alone, in a folder of its own", HelpName = "FILE" };
    private static readonly Option<string[]> ModelRoot =
        new("--model-root") { Description = "folder that clients may load from; repeatable", HelpName = "DIR" };
    private static readonly Option<string[]> WritableRoot =
        new("--writable-root") { Description = "folder that clients may load from and save to; repeatable", HelpName = "DIR" };
    private static readonly Option<bool> NoCache = new("--no-cache") { Description = "no models from the local Hugging Face cache" };
    private static readonly Option<string?> TokenFile =
        new("--token-file") { Description = "file, readable by its owner alone, with what clients of the port must send", HelpName = "FILE" };
    private static readonly Option<string?> Certificate =
        new("--certificate") { Description = "PEM file for TLS over the port", HelpName = "FILE" };
    private static readonly Option<string?> Key =
        new("--key") { Description = "PEM file of its private key [default: in the certificate's file]", HelpName = "FILE" };
    private static readonly Option<string?> RunMemory = Size("--run-memory", "memory of one run", Defaults.Execution.MemoryLimit);
    private static readonly Option<string?> TensorMemory = Size("--tensor-memory", "tensors kept for all clients", Defaults.Tensors.TotalBytes);
    private static readonly Option<string?> ModelMemory = Size("--model-memory", "weights of all models", Defaults.ModelBytes);
    private static readonly Option<int?> Clients =
        new("--clients") { Description = $"clients at a time [default: {Defaults.Sessions}]", HelpName = "N" };
    private static readonly Option<double?> CallTime =
        new("--call-time") { Description = "seconds that a call may take [default: no limit]", HelpName = "S" };
    private static readonly Option<bool> Json = JsonOutput.Option();

    public static Command Create(Session session)
    {
        var command = new Command("serve", "let other programs use the engine, over gRPC")
        {
            Port, Address, Socket, ModelRoot, WritableRoot, NoCache, TokenFile, Certificate, Key,
            RunMemory, TensorMemory, ModelMemory, Clients, CallTime, ModelOptions.Device, ModelOptions.Tf32, Json,
        };
        command.SetAction(parsed => Run(session, parsed).GetAwaiter().GetResult());
        return command;
    }

    private static async Task<int> Run(Session session, ParseResult parsed)
    {
        await using var host = await ServerHost.StartAsync(Options(parsed), session.Cancellation);
        var example = $"client = interopinterp.connect(\"{host.Addresses[0]}\"{(parsed.GetValue(TokenFile) is null ? "" : ", token=...")})";
        if (parsed.GetValue(Json)) JsonOutput.PrintLine(new { host.Addresses, python = example });
        else
        {
            foreach (var address in host.Addresses) session.Out.Line($"Listening on {address}");
            session.Out.Line("From Python:");
            session.Out.Line("   import interopinterp");
            session.Out.Line($"   {example}");
            session.Out.Line("   model = client.HookedTransformer.from_pretrained(\"induction\")   # or a path below a --model-root");
            session.Out.Line("Ctrl-C stops it.");
        }
        await host.WaitForShutdownAsync(session.Cancellation);
        return ExitCodes.Done;
    }

    private static ServerOptions Options(ParseResult parsed)
    {
        var socket = parsed.GetValue(Socket);
        var address = parsed.GetValue(Address);
        var isTcp = parsed.GetValue(Port) is not null || address is not null || socket is null;
        var totalTensors = Sizes.Parse(TensorMemory.Name, parsed.GetValue(TensorMemory)) ?? Defaults.Tensors.TotalBytes;
        return new ServerOptions
        {
            Device = ModelOptions.DeviceOf(parsed),
            Port = isTcp ? Between(Port.Name, parsed.GetValue(Port) ?? DefaultPort, 0, 65535) : null,
            Address = address is null ? IPAddress.Loopback : IPAddress.TryParse(address, out var ip) ? ip : throw Wrong(Address.Name, address, "an IP address such as 127.0.0.1 or 0.0.0.0"),
            SocketPath = socket,
            ModelRoots = parsed.GetValue(ModelRoot) ?? [],
            WritableRoots = parsed.GetValue(WritableRoot) ?? [],
            UseHuggingFaceCache = !parsed.GetValue(NoCache),
            Token = parsed.GetValue(TokenFile) is { } token ? ServerSecrets.Token(token) : null,
            Certificate = parsed.GetValue(Certificate) is { } certificate ? ServerSecrets.Certificate(certificate, parsed.GetValue(Key)) : null,
            Limits = Defaults with
            {
                Execution = new ExecutionOptions { MemoryLimit = Sizes.Parse(RunMemory.Name, parsed.GetValue(RunMemory)) ?? Defaults.Execution.MemoryLimit },
                Tensors = Defaults.Tensors with { TotalBytes = totalTensors, SessionBytes = Math.Min(Defaults.Tensors.SessionBytes!.Value, totalTensors!.Value) },
                ModelBytes = Sizes.Parse(ModelMemory.Name, parsed.GetValue(ModelMemory)) ?? Defaults.ModelBytes,
                Sessions = Between(Clients.Name, parsed.GetValue(Clients) ?? Defaults.Sessions, 1, 100_000),
                CallDuration = parsed.GetValue(CallTime) is { } seconds ? Seconds(seconds) : Defaults.CallDuration,
            },
        };
    }

    private static Option<string?> Size(string name, string what, long? byDefault) =>
        new(name) { Description = $"{what}, as 512M or 8G [default: {(byDefault is { } bytes ? Sizes.Text(bytes) : "no limit")}]", HelpName = "SIZE" };

    private static int Between(string option, int value, int least, int most) =>
        value >= least && value <= most ? value : throw Wrong(option, $"{value}", $"{least} to {most}");

    private static TimeSpan Seconds(double value) =>
        value is > 0 and <= 1e6 ? TimeSpan.FromSeconds(value) : throw Wrong(CallTime.Name, $"{value}", "a number of seconds above 0");

    private static InterpException Wrong(string option, string value, string expected) =>
        InterpException.Invalid("INVALID_OPTION", $"{option} is {value}; it must be {expected}.");
}
