using System.CommandLine;
using System.Runtime.InteropServices;
using InteropInterp.Cli.Output;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Native;
using Spectre.Console;

namespace InteropInterp.Cli.Commands;

/// <summary>`interp doctor`: what the engine runs on, whether it computes, and what is wrong with a model.</summary>
internal static class DoctorCommand
{
    // Of broken weights, as many are named.
    private const int Named = 20;

    private static readonly Argument<string?> Model =
        new("MODEL") { Description = "also look through this model's weights", Arity = ArgumentArity.ZeroOrOne };

    private static readonly Option<string?> Models = new("--models")
    {
        Description = "also compare every model folder below DIR that has golden numbers with them "
            + "[default: $INTEROPINTERP_SHARED/fixtures/families]",
        HelpName = "DIR",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Option<bool> Json = JsonOutput.Option();

    public static Command Create(Session session)
    {
        const string Description = "say what was found: libtorch, devices, self-test, broken weights, errors against golden numbers";
        var command = new Command("doctor", Description) { Model, Models, Json }.WithModelOptions();
        command.SetAction(parsed => Run(session, parsed));
        return command;
    }

    private static int Run(Session session, ParseResult parsed)
    {
        // Throws where libtorch does not load or does not compute, naming which and why.
        var torch = LibTorch.Load(ModelOptions.Libraries(parsed));
        var options = ModelOptions.Of(parsed);
        var health = parsed.GetValue(Model) is { } name ? Examine(name, options, session.Cancellation) : null;
        var families = parsed.GetResult(Models) is null ? null : GoldenTable.Measure(GoldenTable.Folder(parsed.GetValue(Models)), options, session);
        if (parsed.GetValue(Json)) JsonOutput.Print(new { engine = Engine(torch), model = health, families });
        else
        {
            foreach (var (key, value) in Engine(torch)) session.Out.Line($"{key.Replace('_', ' '),-16}{value}");
            if (health is not null) Print(session.Out, health);
            if (families is not null) GoldenTable.Print(session.Out, families, options);
        }
        return families?.Any(f => f.Status == "off") == true ? ExitCodes.Internal : ExitCodes.Done;
    }

    private static Dictionary<string, string> Engine(LibTorchInfo torch) => new()
    {
        ["libtorch"] = $"{torch.Version}, {torch.Origin}, in {torch.Folder}",
        ["copy"] = (torch.IsPrivate, torch.IsRepaired) switch
        {
            (true, _) => $"private copies: {Path.GetDirectoryName(torch.Libraries[torch.Libraries.Keys.First()])}",
            (_, true) => $"as shipped, but for a repaired libLibTorchSharp.so: {torch.Libraries["libLibTorchSharp.so"]}",
            _ => "as shipped",
        },
        ["self-test"] = "passed",
        ["devices"] = string.Join(", ", Devices.Present()),
        ["cuda"] = Cuda(torch),
        ["threads"] = $"{torch.Threads} of {Environment.ProcessorCount} processors",
        ["memory"] = $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 20:N0} MiB",
        ["runtime"] = $"{RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription}",
        ["models"] = $"with the engine: {string.Join(", ", EmbeddedModels.Names)}",
    };

    private static string Cuda(LibTorchInfo torch)
    {
        var tf32 = torch.Tf32 ? "float32 matrices in TF32" : "float32 in full";
        var devices = Devices.Present().Count - 1;
        return !torch.HasCudaLibraries ? "not in this libtorch" : devices == 0 ? "in this libtorch, but it sees no device" : $"{devices} devices, {tf32}";
    }

    private sealed record Health(
        string Model, int Layers, long Parameters, long NotANumber, long Infinite,
        IReadOnlyList<WeightHealth> Broken, IReadOnlyList<string> AllZero, string Tokenizer);

    private static Health Examine(string name, LoadOptions options, CancellationToken cancellation)
    {
        using var model = HookedTransformer.FromPretrainedNoProcessing(name, options, cancellation);
        var weights = WeightHealth.Of(model.Model);
        return new Health(
            model.Config.ModelName, model.Config.LayerCount,
            weights.Sum(w => w.Count), weights.Sum(w => w.NotANumber), weights.Sum(w => w.Infinite),
            [.. weights.Where(w => w.IsBroken)], [.. weights.Where(w => w.IsDead).Select(w => w.Name)],
            model.HasTokenizer ? $"{model.Tokenizer.Tokenizer.VocabularySize:N0} tokens" : "none");
    }

    private static void Print(IAnsiConsole console, Health h)
    {
        console.Line("");
        console.Line($"{h.Model}: {h.Layers} layers, {h.Parameters:N0} parameters, tokenizer: {h.Tokenizer}");
        console.Line(h.Broken.Count == 0
            ? "weights: all are finite numbers"
            : $"weights: {h.NotANumber:N0} NaN and {h.Infinite:N0} infinite in {h.Broken.Count} tensors; what they compute is no number");
        if (h.Broken.Count > 0)
        {
            var table = Tables.Of("weight", "numbers", "NaN", "infinite");
            foreach (var w in h.Broken.Take(Named)) table.Add(w.Name, $"{w.Count:N0}", $"{w.NotANumber:N0}", $"{w.Infinite:N0}");
            console.Write(table);
            if (h.Broken.Count > Named) console.Line($"... and {h.Broken.Count - Named} more");
        }
        if (h.AllZero.Count > 0)
            console.Line($"all zero: {string.Join(", ", h.AllZero.Take(Named))}{(h.AllZero.Count > Named ? ", ..." : "")}");
    }
}
