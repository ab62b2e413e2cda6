using System.CommandLine;
using System.Diagnostics;
using InteropInterp.Cli.Output;
using InteropInterp.Models;
using InteropInterp.Native;
using InteropInterp.Native.Interop;
using InteropInterp.Studies;
using InteropInterp.Training;
using Spectre.Console;

namespace InteropInterp.Cli.Commands;

/// <summary>`interp train induction`: trains the model that comes with the engine, measures it, and writes it with its card.</summary>
internal static class TrainInductionCommand
{
    private const string DefaultFolder = "induction-model";
    private const string CheckpointName = "checkpoint.safetensors";
    private static readonly InductionTrainerOptions Defaults = new();

    private static readonly Option<string> Folder =
        new("--out", "-o") { Description = "folder of model and checkpoint", HelpName = "DIR", DefaultValueFactory = _ => DefaultFolder };
    private static readonly Option<long?> Steps =
        new("--steps") { Description = $"optimiser steps [default: {Defaults.Steps}]", HelpName = "N" };
    private static readonly Option<long?> Seed =
        new("--seed") { Description = $"decides weights and data [default: {Defaults.Seed}]", HelpName = "S" };
    private static readonly Option<int?> Batch =
        new("--batch") { Description = $"rows per step [default: {Defaults.BatchSize}]", HelpName = "N" };
    private static readonly Option<double?> Rate =
        new("--lr") { Description = $"learning rate [default: {Defaults.LearningRate}]", HelpName = "X" };
    private static readonly Option<int?> Every =
        new("--checkpoint-every") { Description = $"steps between checkpoints [default: {Defaults.CheckpointEvery}]", HelpName = "N" };
    private static readonly Option<int> Threads =
        new("--threads") { Description = "threads; the weights depend on it", HelpName = "N", DefaultValueFactory = _ => 1 };
    private static readonly Option<bool> Resume =
        new("--resume") { Description = "go on from the checkpoint in DIR; only --steps may change" };
    private static readonly Option<bool> Json = JsonOutput.Option();

    public static Command Create(Session session)
    {
        var command = new Command("induction", "train a 2-layer attention-only transformer that learns to copy")
        {
            Folder, Steps, Seed, Batch, Rate, Every, Threads, Resume, ModelOptions.Device, ModelOptions.Tf32, Json,
        };
        command.SetAction(parsed => Run(session, parsed));
        return command;
    }

    private static int Run(Session session, ParseResult parsed)
    {
        var folder = parsed.GetValue(Folder)!;
        var checkpoint = Path.Combine(folder, CheckpointName);
        var threads = parsed.GetValue(Threads);
        InterpException.Require(threads is >= 1 and <= 256, "INVALID_OPTION", $"--threads is {threads}; it must be 1 to 256.");
        LibTorch.Load(ModelOptions.Libraries(parsed) with { Threads = threads });
        var device = ModelOptions.DeviceOf(parsed);
        var clock = Stopwatch.StartNew();
        using var trainer = Start(parsed, checkpoint, device);
        AtomicFile.MakeFolder(folder);
        Train(session, trainer, checkpoint);
        InductionModel.Save(trainer.Model, folder);

        using var model = HookedTransformer.FromPretrained(Path.GetFullPath(folder), new LoadOptions { Device = device });
        var study = InductionStudy.Run(model, new InductionStudyOptions { Rows = 64 }, cancellation: session.Cancellation);
        var card = InductionCard.Of(trainer, study, Reproduce(trainer.Options, threads));
        AtomicFile.WriteAll(Path.Combine(folder, "card.json"), JsonOutput.Text(card) + "\n");
        if (parsed.GetValue(Json)) JsonOutput.Print(new { folder, seconds = Math.Round(clock.Elapsed.TotalSeconds, 1), card });
        else Print(session.Out, card, folder, clock.Elapsed);
        return ExitCodes.Done;
    }

    private static InductionTrainer Start(ParseResult parsed, string checkpoint, string device)
    {
        if (parsed.GetValue(Resume))
        {
            foreach (var option in new Option[] { Seed, Batch, Rate, Every })
                InterpException.Require(parsed.GetResult(option) is null, "INVALID_OPTION",
                    $"{option.Name} cannot change when a run is resumed: it is in the checkpoint.");
            return InductionTrainer.Resume(checkpoint, parsed.GetValue(Steps), device);
        }
        if (File.Exists(checkpoint))
            throw new InterpException(ErrorCode.AlreadyExists, "CHECKPOINT_EXISTS",
                $"'{checkpoint}' is there from an earlier run. Go on with --resume, or name another folder with --out.");
        return new InductionTrainer(new InductionTrainerOptions
        {
            Device = device,
            Steps = parsed.GetValue(Steps) ?? Defaults.Steps,
            Seed = parsed.GetValue(Seed) ?? Defaults.Seed,
            BatchSize = parsed.GetValue(Batch) ?? Defaults.BatchSize,
            LearningRate = parsed.GetValue(Rate) ?? Defaults.LearningRate,
            CheckpointEvery = parsed.GetValue(Every) ?? Defaults.CheckpointEvery,
        });
    }

    private static void Train(Session session, InductionTrainer trainer, string checkpoint)
    {
        try
        {
            ProgressBar.Run(bar =>
            {
                void Report(InductionTrainer t) =>
                    bar.Report("training", t.Step, t.Options.Steps, $"step {t.Step}, loss {t.Losses[^1]:F3}");
                trainer.Run(checkpoint, Report, session.Cancellation);
                return true;
            });
        }
        catch (InterpException e) when (e.Code == ErrorCode.Cancelled)
        {
            throw new InterpException(ErrorCode.Cancelled, e.Reason,
                $"Stopped at step {trainer.Step} of {trainer.Options.Steps}; '{checkpoint}' is written. Go on with --resume.");
        }
    }

    private static string Reproduce(InductionTrainerOptions o, int threads)
    {
        var text = $"interp train induction --steps {o.Steps} --seed {o.Seed} --threads {threads}";
        if (o.BatchSize != Defaults.BatchSize) text += $" --batch {o.BatchSize}";
        return o.LearningRate == Defaults.LearningRate ? text : FormattableString.Invariant($"{text} --lr {o.LearningRate}");
    }

    private static void Print(IAnsiConsole console, InductionCard card, string folder, TimeSpan time)
    {
        var table = Tables.Of("after training", "value", "bound", "met");
        foreach (var c in card.Acceptance) table.Add(c.What, c.Value is { } v ? Tables.Number(v) : "-", c.Bound, c.IsMet ? "yes" : "no");
        console.Write(table);
        console.Line($"Trained {card.Steps} steps in {time.TotalSeconds:F0} s. The model is in '{folder}'.");
        console.Line($"Look at it with 'interp demo --model {Path.Combine(".", folder)}'.");
    }
}
