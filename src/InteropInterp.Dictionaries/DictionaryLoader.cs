using InteropInterp.Dictionaries.Formats;
using InteropInterp.Models;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries;

/// <summary>From files to a dictionary.</summary>
public static class DictionaryLoader
{
    /// <summary>Loads a folder or a file; see <see cref="DictionaryFiles.Find"/>.</summary>
    /// <exception cref="InterpException">DICTIONARY_NOT_FOUND, UNKNOWN_ARCHITECTURE, BAD_DICTIONARY_CONFIG, UNKNOWN_CONFIG_FIELD,
    /// DICTIONARY_SHAPE and the like.</exception>
    public static SparseDictionary Load(string path, DictionaryOptions? options = null) => Load(DictionaryFiles.Find(path), options);

    public static SparseDictionary Load(DictionaryFiles files, DictionaryOptions? options = null)
    {
        Native.LibTorch.Load();
        options ??= new DictionaryOptions();
        ComputeTypes.Check(options.Device, options.DataType);
        using var source = SafeTensors.Open(files.WeightsPath);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        return files.Format == DictionaryFormat.SaeLens
            ? SaeLensFolder.Read(files, source, options)
            : DictionaryLearningTensors.Read(source, files.ConfigPath, options);
    }
}
