namespace InteropInterp.Models.Families;

/// <summary>All families. A new architecture is one file and one line here.</summary>
public static class ModelFamilies
{
    public static IReadOnlyList<IModelFamily> All { get; } = [new Gpt2(), new GptNeoX(), new Llama()];

    /// <summary>The family of a config.</summary>
    /// <exception cref="InterpException">UNKNOWN_ARCHITECTURE: names those there are.</exception>
    public static IModelFamily Find(HuggingFaceConfig config)
    {
        var name = config.Architecture ?? config.ModelType
            ?? throw InterpException.DataLoss("BAD_CONFIG", $"'{config.Path}' names neither architectures nor model_type.");
        var known = All.SelectMany(f => f.Architectures).ToList();
        return All.FirstOrDefault(f => f.Architectures.Contains(name))
            ?? throw new InterpException(ErrorCode.Unimplemented, "UNKNOWN_ARCHITECTURE",
                $"'{config.Path}': architecture '{name}' is not one of {string.Join(", ", known)}.", NearestNames.Find(name, known));
    }
}
