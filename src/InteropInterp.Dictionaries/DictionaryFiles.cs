namespace InteropInterp.Dictionaries;

/// <summary>Which files a dictionary consists of, and in which format they are.</summary>
/// <param name="ConfigPath">Null where the tensors say everything.</param>
public sealed record DictionaryFiles(DictionaryFormat Format, string? ConfigPath, string WeightsPath)
{
    private const string SaeLensConfig = "cfg.json", SaeLensWeights = "sae_weights.safetensors", LearningConfig = "config.json";

    /// <summary>SAELens's note of what activations were multiplied by in training; not always there.</summary>
    internal string ScalerPath => Path.Combine(Folder, "activation_scaler.json");

    /// <summary>The folder they lie in.</summary>
    public string Folder => Path.GetDirectoryName(Path.GetFullPath(WeightsPath))!;

    /// <summary>What identifies the content.</summary>
    internal IEnumerable<string> All => new[] { ConfigPath, WeightsPath, File.Exists(ScalerPath) ? ScalerPath : null }.OfType<string>();

    /// <summary>
    /// Finds the files of a folder (cfg.json with sae_weights.safetensors is SAELens's) or of a .safetensors file
    /// (dictionary_learning's tensors, with its config.json beside it or without).
    /// </summary>
    /// <exception cref="InterpException">DICTIONARY_NOT_FOUND says what was looked for.</exception>
    public static DictionaryFiles Find(string path)
    {
        if (string.IsNullOrWhiteSpace(path)) throw InterpException.Invalid("DICTIONARY_NOT_FOUND", "The path of a dictionary is empty.");
        if (Directory.Exists(path)) return InFolder(path);
        if (!File.Exists(path)) throw NotFound($"There is no file or folder '{path}'.");
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        return Path.GetFileName(path) switch
        {
            SaeLensConfig or SaeLensWeights => InFolder(folder),
            var name when name.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) => Learning(path),
            _ => throw NotFound($"'{path}' is no dictionary: a folder or a .safetensors file was expected. "
                + "Pickled files (.pt) are not read: convert them to safetensors."),
        };
    }

    private static DictionaryFiles InFolder(string folder)
    {
        var (config, weights) = (Path.Combine(folder, SaeLensConfig), Path.Combine(folder, SaeLensWeights));
        if (File.Exists(config) && File.Exists(weights)) return new(DictionaryFormat.SaeLens, config, weights);
        if (File.Exists(config) || File.Exists(weights)) throw NotFound($"'{folder}' needs both {SaeLensConfig} and {SaeLensWeights}.");
        var files = Directory.GetFiles(folder, "*.safetensors");
        return files.Length == 1
            ? Learning(files[0])
            : throw NotFound($"'{folder}' holds no dictionary: {SaeLensConfig} with {SaeLensWeights}, "
                + "or one .safetensors file of dictionary_learning's, was expected.");
    }

    private static DictionaryFiles Learning(string weights)
    {
        var config = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(weights))!, LearningConfig);
        return new(DictionaryFormat.DictionaryLearning, File.Exists(config) ? config : null, weights);
    }

    private static InterpException NotFound(string message) => InterpException.NotFound("DICTIONARY_NOT_FOUND", message);
}

/// <summary>Whose files they are.</summary>
public enum DictionaryFormat
{
    /// <summary>cfg.json and sae_weights.safetensors.</summary>
    SaeLens,

    /// <summary>A state dict of saprmarks/dictionary_learning in safetensors.</summary>
    DictionaryLearning,
}
