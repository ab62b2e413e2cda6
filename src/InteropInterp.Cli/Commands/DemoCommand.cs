using System.CommandLine;
using System.Diagnostics;
using InteropInterp.Cli.Output;
using InteropInterp.Models;
using InteropInterp.Native.Interop;
using InteropInterp.Reports;
using InteropInterp.Studies;
using Spectre.Console;

namespace InteropInterp.Cli.Commands;

/// <summary>`interp demo`: what there is to see in a model, as tables and as a page.</summary>
internal static class DemoCommand
{
    private static readonly Option<string> Model = new("--model", "-m")
    {
        Description = "a folder, a file (.safetensors, .gguf), or a name",
        HelpName = "PATH",
        DefaultValueFactory = _ => EmbeddedModels.Default,
    };
    private static readonly Option<string> Report =
        new("--out", "-o") { Description = "the page to write", HelpName = "FILE", DefaultValueFactory = _ => "interp-demo.html" };
    private static readonly Option<ulong> Seed =
        new("--seed") { Description = "decides the random tokens", HelpName = "S", DefaultValueFactory = _ => 0 };
    private static readonly Option<bool> Json = JsonOutput.Option();

    public static Command Create(Session session)
    {
        var command = new Command("demo", "show what a model's heads do: copying, patching, who is meant") { Model, Report, Seed, Json }.WithModelOptions();
        command.SetAction(parsed => Run(session, parsed));
        return command;
    }

    private static int Run(Session session, ParseResult parsed)
    {
        var clock = Stopwatch.StartNew();
        var path = parsed.GetValue(Report)!;
        using var model = HookedTransformer.FromPretrained(parsed.GetValue(Model)!, ModelOptions.Of(parsed), session.Cancellation);
        var study = ProgressBar.Run(bar => ModelStudy.Run(
            model,
            new InductionStudyOptions { Seed = parsed.GetValue(Seed) },
            p => bar.Report(p.What, p.Done, p.Total),
            session.Cancellation));
        IReadOnlyList<string> prompts = study.Task is { } task ? [.. task.Clean.Select(r => model.Tokenizer.ToText([.. r.Tokens]))] : [];
        AtomicFile.WriteAll(path, StudyReport.Page(study, model.Config, prompts).ToHtml());
        if (parsed.GetValue(Json)) JsonOutput.Print(DemoJson.Of(study, path));
        else
        {
            DemoTables.Print(session.Out, study);
            var size = new FileInfo(path).Length / 1024.0;
            session.Out.Line($"'{path}' shows it with heatmaps and attention patterns ({size:F0} KiB; {clock.Elapsed.TotalSeconds:F1} s).");
        }
        return ExitCodes.Done;
    }
}
