namespace InteropInterp.Models.Families;

/// <summary>Hugging Face's activation names as ours (transformers' ACT2FN).</summary>
internal static class ActivationNames
{
    private static readonly Dictionary<string, string> Names = new()
    {
        ["gelu"] = "gelu",
        ["gelu_new"] = "gelu_new",
        ["gelu_fast"] = "gelu_fast",
        ["gelu_pytorch_tanh"] = "gelu_pytorch_tanh",
        ["relu"] = "relu",
        ["silu"] = "silu",
        ["swish"] = "silu",
    };

    public static string FromHuggingFace(string name, string path) => Names.TryGetValue(name, out var ours)
        ? ours
        : throw new InterpException(ErrorCode.Unimplemented, "UNSUPPORTED_FEATURE",
            $"'{path}': activation '{name}' is not computed here; {string.Join(", ", Names.Keys)} are.", NearestNames.Find(name, Names.Keys));
}
