using InteropInterp.Models;
using InteropInterp.Native.Interop;

namespace InteropInterp.Training;

/// <summary>The folder of a trained induction model: weights and config in TransformerLens's layout, and its tokenizer.</summary>
public static class InductionModel
{
    /// <exception cref="InterpException">FILE_NOT_WRITABLE.</exception>
    public static void Save(TransformerModel model, string folder)
    {
        using var mode = TorchSharp.torch.no_grad();
        ModelSaver.Save(model, folder);
        foreach (var (name, content) in InductionVocabulary.Files()) AtomicFile.WriteAll(Path.Combine(folder, name), content);
    }
}
