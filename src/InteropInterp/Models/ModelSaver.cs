using InteropInterp.Native.Interop;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Models;

/// <summary>Writes a model as a TransformerLens state dict in safetensors with its config beside it.</summary>
public static class ModelSaver
{
    /// <summary>
    /// NAME.safetensors gets NAME.config.json beside it; a folder gets tl_state_dict.safetensors and tl_config.json. The file's
    /// metadata say how the weights were processed. Files appear whole or not at all.
    /// </summary>
    /// <exception cref="InterpException">FILE_NOT_WRITABLE.</exception>
    public static void Save(TransformerModel model, string path)
    {
        var isFile = path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase);
        if (!isFile) AtomicFile.MakeFolder(path);
        var weights = isFile ? path : Path.Combine(path, "tl_state_dict.safetensors");
        var config = isFile ? Path.ChangeExtension(path, ".config.json") : Path.Combine(path, "tl_config.json");
        using var scope = NewDisposeScope();
        var tensors = model.StateDict.Names.ToDictionary(name => name, name => model.StateDict[name]);
        var json = TransformerConfigJson.Write(model.Config);
        SafeTensors.Save(weights, tensors, new Dictionary<string, string>
        {
            ["format"] = "pt",
            ["config"] = json,
            ["fold_ln"] = Flag(model.Processing.FoldLayerNorm),
            ["center_writing_weights"] = Flag(model.Processing.CenterWritingWeights),
            ["center_unembed"] = Flag(model.Processing.CenterUnembed),
            ["fold_value_biases"] = Flag(model.Processing.FoldValueBiases),
        });
        AtomicFile.WriteAll(config, json);
    }

    private static string Flag(bool value) => value ? "true" : "false";
}
