using InteropInterp.Models.Families;

namespace InteropInterp.Models;

/// <summary>Which files a model consists of, and in which layout they are.</summary>
public sealed record ModelFiles(ModelLayout Layout, string ConfigPath, string WeightsPath)
{
    /// <summary>The folder to look for a tokenizer in.</summary>
    public string Folder => Path.GetDirectoryName(Path.GetFullPath(WeightsPath))!;

    /// <summary>
    /// Finds the files of a folder, of a file, or of a hub name in the local Hugging Face cache (nothing is downloaded). The name
    /// of a model that comes with the engine is that model; a folder called so is "./NAME".
    /// </summary>
    /// <exception cref="InterpException">MODEL_NOT_FOUND says where it looked; MODEL_AMBIGUOUS names the candidates.</exception>
    public static ModelFiles Find(string name)
    {
        if (string.IsNullOrWhiteSpace(name)) throw InterpException.Invalid("MODEL_NOT_FOUND", "The name of a model is empty.");
        if (EmbeddedModels.Find(name) is { } embedded) return InFolder(embedded);
        if (Directory.Exists(name)) return InFolder(name);
        if (File.Exists(name)) return OfFile(name);
        if (HuggingFaceCache.Find(name) is { } snapshot) return InFolder(snapshot);
        throw new InterpException(ErrorCode.NotFound, "MODEL_NOT_FOUND",
            $"There is no file or folder '{name}', and no such model in the local Hugging Face cache ({string.Join(", ", HuggingFaceCache.Roots())}). Nothing is downloaded.",
            NearestNames.Find(name, EmbeddedModels.Names.Concat(HuggingFaceCache.Names()).Concat(Neighbours(name))));
    }

    private static ModelFiles InFolder(string folder)
    {
        string Inside(string file) => Path.Combine(folder, file);
        var config = Inside("config.json");
        if (File.Exists(config)) return OfConfig(config, WeightsBeside(folder));
        if (File.Exists(Inside("tl_config.json"))) return new(ModelLayout.TransformerLens, Inside("tl_config.json"), Need(Inside("tl_state_dict.safetensors")));
        var ggufs = Directory.GetFiles(folder, "*.gguf");
        if (ggufs.Length == 1) return new(ModelLayout.Gguf, ggufs[0], ggufs[0]);
        var pairs = Directory.GetFiles(folder, "*.safetensors").Where(f => File.Exists(ConfigOf(f))).ToList();
        if (pairs.Count == 1) return new(ModelLayout.TransformerLens, ConfigOf(pairs[0]), pairs[0]);
        if (ggufs.Length + pairs.Count > 1)
            throw InterpException.Precondition("MODEL_AMBIGUOUS",
                $"'{folder}' holds several models; name one of {string.Join(", ", ggufs.Concat(pairs).Select(Path.GetFileName))}.");
        throw InterpException.NotFound("MODEL_NOT_FOUND",
            $"'{folder}' holds no model: no config.json, no tl_config.json, no .gguf, no NAME.safetensors with NAME.config.json.");
    }

    private static ModelFiles OfFile(string file)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        if (file.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)) return new(ModelLayout.Gguf, file, file);
        if (Path.GetFileName(file) is "config.json") return OfConfig(file, WeightsBeside(folder));
        if (Path.GetFileName(file) is "tl_config.json") return new(ModelLayout.TransformerLens, file, Need(Path.Combine(folder, "tl_state_dict.safetensors")));
        if (file.EndsWith(".index.json", StringComparison.Ordinal) && File.Exists(Path.Combine(folder, "config.json")))
            return OfConfig(Path.Combine(folder, "config.json"), file);
        if (!file.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase))
            throw InterpException.Invalid("MODEL_NOT_FOUND", $"'{file}' is no model: a .safetensors, a .gguf, a config.json or a folder was expected. Pickled files (.pt, .pth, .bin) are not read.");
        if (File.Exists(ConfigOf(file))) return new(ModelLayout.TransformerLens, ConfigOf(file), file);
        if (Path.GetFileName(file).StartsWith("tl_state_dict", StringComparison.Ordinal) && File.Exists(Path.Combine(folder, "tl_config.json")))
            return new(ModelLayout.TransformerLens, Path.Combine(folder, "tl_config.json"), file);
        if (File.Exists(Path.Combine(folder, "config.json"))) return OfConfig(Path.Combine(folder, "config.json"), file);
        throw InterpException.NotFound("MODEL_NOT_FOUND", $"'{file}' has no config beside it: {Path.GetFileName(ConfigOf(file))}, tl_config.json or config.json.");
    }

    // A config.json without an architecture that has d_model is TransformerLens's.
    private static ModelFiles OfConfig(string config, string weights)
    {
        var read = HuggingFaceConfig.Read(config);
        var ours = read.Architecture is null && read.ModelType is null && read.Has("d_model") && read.Has("n_layers");
        return new(ours ? ModelLayout.TransformerLens : ModelLayout.HuggingFace, config, weights);
    }

    private static string WeightsBeside(string folder)
    {
        var single = Path.Combine(folder, "model.safetensors");
        var index = Path.Combine(folder, "model.safetensors.index.json");
        if (File.Exists(single)) return single;
        if (File.Exists(index)) return index;
        var pickled = Directory.GetFiles(folder, "pytorch_model*.bin").Length > 0;
        throw InterpException.NotFound("WEIGHTS_NOT_FOUND", $"'{folder}' has a config.json but neither model.safetensors nor model.safetensors.index.json."
            + (pickled ? " Its pytorch_model.bin is a pickle, which is not read: convert it to safetensors." : ""));
    }

    private static string ConfigOf(string weights) => Path.ChangeExtension(weights, ".config.json");

    private static string Need(string file) => File.Exists(file) ? file : throw InterpException.NotFound("WEIGHTS_NOT_FOUND", $"There is no '{file}'.");

    private static IEnumerable<string> Neighbours(string name)
    {
        var folder = Path.GetDirectoryName(name);
        if (folder is null || !Directory.Exists(folder.Length == 0 ? "." : folder)) return [];
        return Directory.EnumerateFileSystemEntries(folder.Length == 0 ? "." : folder).Select(e => Path.Combine(folder, Path.GetFileName(e))).Take(1000);
    }
}

/// <summary>How a model's files are laid out.</summary>
public enum ModelLayout
{
    HuggingFace,
    TransformerLens,
    Gguf,
}
