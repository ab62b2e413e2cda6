using System.Text;
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
        foreach (var (name, content) in InductionVocabulary.Files()) Write(Path.Combine(folder, name), content);
    }

    /// <summary>A text file that appears whole or not at all.</summary>
    /// <exception cref="InterpException">FILE_NOT_WRITABLE.</exception>
    public static void Write(string path, string content)
    {
        using var file = AtomicFile.Create(path);
        file.Write(0, Encoding.UTF8.GetBytes(content));
        file.Commit();
    }
}
