using System.CommandLine;
using InteropInterp.Cli.Output;
using InteropInterp.Models;
using InteropInterp.Models.Weights;

namespace InteropInterp.Cli.Commands;

/// <summary>`interp convert`: any model that loads, written as a TransformerLens state dict.</summary>
internal static class ConvertCommand
{
    // What a tokenizer may consist of.
    private static readonly string[] TokenizerFiles =
    [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "vocab.json", "merges.txt",
        "encoder.json", "vocab.bpe", "tokenizer.model",
    ];

    private static readonly Argument<string> Source = new("MODEL") { Description = "a folder, a file (.safetensors, .gguf), or a name" };
    private static readonly Argument<string> Target = new("OUT") { Description = "a folder, or NAME.safetensors" };
    private static readonly Option<bool> Process =
        new("--process") { Description = "fold norms and biases, centre weights, as from_pretrained does" };
    private static readonly Option<bool> Force = new("--force", "-f") { Description = "replace what is there" };
    private static readonly Option<bool> Json = JsonOutput.Option();

    public static Command Create(Session session)
    {
        var command = new Command("convert", "write a model in TransformerLens's layout") { Source, Target, Process, Force, Json }.WithModelOptions();
        command.SetAction(parsed => Run(session, parsed));
        return command;
    }

    private static int Run(Session session, ParseResult parsed)
    {
        var (source, target) = (parsed.GetValue(Source)!, parsed.GetValue(Target)!);
        var isFile = target.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase);
        var weights = isFile ? target : Path.Combine(target, "tl_state_dict.safetensors");
        if (File.Exists(weights) && !parsed.GetValue(Force))
            throw new InterpException(ErrorCode.AlreadyExists, "FILE_EXISTS", $"'{weights}' is there already; replace it with --force.");
        var processing = parsed.GetValue(Process) ? ProcessingOptions.Default : ProcessingOptions.None;
        var files = ModelFiles.Find(source);
        using var model = HookedTransformer.FromPretrained(source, ModelOptions.Of(parsed) with { Processing = processing }, session.Cancellation);
        model.Save(target);
        var tokenizer = isFile ? new List<string>() : CopyTokenizer(files, target);
        var parameters = model.Weights.Names.Sum(name => model.Weights.Shape(name).Aggregate(1L, (a, b) => a * b));
        if (parsed.GetValue(Json)) JsonOutput.Print(new { weights, parameters, tokenizer });
        else session.Out.Line($"Wrote {parameters:N0} parameters to '{weights}'{string.Concat(tokenizer.Select(file => $", {file}"))}.");
        if (model.HasTokenizer && tokenizer.Count == 0)
            Console.Error.WriteLine(
                $"interp: the tokenizer of '{source}' is not in files of its own; the converted model reads token ids only.");
        return ExitCodes.Done;
    }

    private static List<string> CopyTokenizer(ModelFiles files, string target)
    {
        if (files.Layout == ModelLayout.Gguf || Path.GetFullPath(files.Folder) == Path.GetFullPath(target)) return [];
        var present = TokenizerFiles.Where(name => File.Exists(Path.Combine(files.Folder, name))).ToList();
        foreach (var name in present) File.Copy(Path.Combine(files.Folder, name), Path.Combine(target, name), overwrite: true);
        return present;
    }
}
