using static TorchSharp.torch;

namespace InteropInterp.Tensors;

/// <summary>Safetensors, whichever way they lie in a folder.</summary>
public static class SafeTensors
{
    private const string IndexEnding = ".safetensors.index.json";

    /// <summary>
    /// Opens a .safetensors file, an index, or a folder: its model.safetensors, else its one index, else its one .safetensors.
    /// </summary>
    /// <exception cref="InterpException">NO_SAFETENSORS; SEVERAL_SAFETENSORS, naming them; those of opening what was found.</exception>
    public static ITensorSource Open(string fileOrFolder)
    {
        var path = Directory.Exists(fileOrFolder) ? Find(fileOrFolder) : fileOrFolder;
        return path.EndsWith(".json", StringComparison.Ordinal) ? ShardedSafeTensors.Open(path) : SafeTensorsFile.Open(path);
    }

    /// <summary>Writes tensors, of any device and stride, to one file that appears whole or not at all.</summary>
    /// <exception cref="InterpException">As <see cref="SafeTensorsWriter"/>.</exception>
    public static void Save(
        string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var all = tensors.ToList();
        var declared = all.Select(t => new TensorDeclaration(t.Key, StorageTypes.Of(t.Value.dtype), t.Value.shape));
        using var writer = SafeTensorsWriter.Create(path, declared, metadata);
        foreach (var (name, tensor) in all) writer.Write(name, tensor);
        writer.Commit();
    }

    private static string Find(string folder)
    {
        var plain = Path.Combine(folder, "model.safetensors");
        if (File.Exists(plain)) return plain;
        var files = Directory.GetFiles(folder);
        return TheOne(files, IndexEnding, folder) ?? TheOne(files, ".safetensors", folder)
            ?? throw InterpException.NotFound("NO_SAFETENSORS", $"'{folder}' has neither a .safetensors file nor a {IndexEnding[1..]}.");
    }

    private static string? TheOne(string[] files, string ending, string folder)
    {
        var fitting = files.Where(file => file.EndsWith(ending, StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToList();
        if (fitting.Count > 1)
            throw InterpException.Invalid("SEVERAL_SAFETENSORS", $"'{folder}' has {fitting.Count} files that may be meant: "
                + $"{string.Join(", ", fitting.Take(5).Select(Path.GetFileName))}; name one.");
        return fitting.SingleOrDefault();
    }
}
