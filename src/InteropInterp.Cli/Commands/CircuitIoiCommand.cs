using System.CommandLine;
using System.Diagnostics;
using InteropInterp.Circuits;
using InteropInterp.Cli.Output;
using InteropInterp.Native.Interop;
using InteropInterp.Reports;
using InteropInterp.Studies.IndirectObjects;
using Spectre.Console;

namespace InteropInterp.Cli.Commands;

/// <summary>`interp circuit ioi`: the circuit of indirect objects in a model, as tables, as a page and as an edge list.</summary>
internal static class CircuitIoiCommand
{
    private static readonly IndirectObjectCircuitOptions Defaults = new();

    private static readonly Option<string> Model = new("--model", "-m")
    {
        Description = "a folder, a file (.safetensors, .gguf), or a name; a language model with a tokenizer", HelpName = "PATH", Required = true,
    };
    private static readonly Option<string> Report =
        new("--out", "-o") { Description = "the page to write", HelpName = "FILE", DefaultValueFactory = _ => "interp-ioi.html" };
    private static readonly Option<string?> Edges =
        new("--edges") { Description = "also write the circuit's edges with their scores as JSON (EAP-IG's layout)", HelpName = "FILE" };
    private static readonly Option<int> Prompts =
        new("--prompts") { Description = "prompts; a multiple of 4", HelpName = "N", DefaultValueFactory = _ => 16 };
    private static readonly Option<double> Recovered = new("--recovered")
    {
        Description = "the circuit is the smallest that recovers this share of the logit difference", HelpName = "X",
        DefaultValueFactory = _ => Defaults.Recovered,
    };
    private static readonly Option<ulong> Seed =
        new("--seed") { Description = "decides the names", HelpName = "S", DefaultValueFactory = _ => 0 };
    private static readonly Option<bool> Json = JsonOutput.Option();

    public static Command Create(Session session)
    {
        var command = new Command("ioi", "find the heads that tell who is meant (indirect objects), and how well they explain it")
        {
            Model, Report, Edges, Prompts, Recovered, Seed, Json,
        }.WithModelOptions();
        command.SetAction(parsed => Run(session, parsed));
        return command;
    }

    private static int Run(Session session, ParseResult parsed)
    {
        var clock = Stopwatch.StartNew();
        var path = parsed.GetValue(Report)!;
        var options = Defaults with { Recovered = parsed.GetValue(Recovered), Seed = parsed.GetValue(Seed) };
        options.Check();
        using var model = HookedTransformer.FromPretrained(parsed.GetValue(Model)!, ModelOptions.Of(parsed), session.Cancellation);
        var prompts = IndirectObjectPrompts.For(model.Tokenizer, parsed.GetValue(Prompts), options.Seed);
        var circuit = ProgressBar.Run(bar => IndirectObjectCircuitStudy.Run(
            model, prompts, options, p => bar.Report(p.What, p.Done, p.Total), session.Cancellation));
        IReadOnlyList<IReadOnlyList<string>> tokens = [.. prompts.Task.Clean.Select(r => model.Tokenizer.ToStrTokens([.. r.Tokens]))];
        AtomicFile.WriteAll(path, IndirectObjectReport.Page(circuit, tokens).ToHtml());
        if (parsed.GetValue(Edges) is { } edges) AtomicFile.WriteAll(edges, CircuitJson.Write(circuit.EdgeCircuit, circuit.Edges));
        var seconds = Math.Round(clock.Elapsed.TotalSeconds, 1);
        if (parsed.GetValue(Json)) JsonOutput.Print(IndirectObjectJson.Of(circuit, tokens, path, seconds));
        else
        {
            IndirectObjectTables.Print(session.Out, circuit);
            session.Out.Line($"'{path}' shows it all ({new FileInfo(path).Length / 1024.0:F0} KiB; {seconds:F1} s).");
        }
        return ExitCodes.Done;
    }
}
