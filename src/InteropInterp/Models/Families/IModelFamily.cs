using InteropInterp.Models.Weights;

namespace InteropInterp.Models.Families;

/// <summary>
/// One architecture, in one file: how its Hugging Face config reads as ours, and where each of our weights lies in its files.
/// </summary>
public interface IModelFamily
{
    /// <summary>The names under "architectures" that this family serves, for example GPT2LMHeadModel.</summary>
    IReadOnlyList<string> Architectures { get; }

    TransformerConfig Configure(HuggingFaceConfig config);

    /// <summary>Tells the map where every weight of the config's TransformerLens state dict comes from.</summary>
    void Map(WeightMap map, TransformerConfig config);
}
