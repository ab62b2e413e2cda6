using static TorchSharp.torch;

namespace InteropInterp.Tensors;

/// <summary>
/// A model in several safetensors files with a <c>model.safetensors.index.json</c> beside them. Tensors of a shard that the index
/// does not list are there too, as in transformers.
/// </summary>
public sealed class ShardedSafeTensors : ITensorSource
{
    private readonly Dictionary<string, SafeTensorsFile> shards = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SafeTensorsFile> homes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TensorEntry> entries = new(StringComparer.Ordinal);

    private ShardedSafeTensors(string path) => Path = path;

    /// <summary>Of the index.</summary>
    public string Path { get; }

    /// <summary>The files of the model, by name.</summary>
    public IReadOnlyCollection<string> Shards => shards.Keys;

    public IReadOnlyDictionary<string, TensorEntry> Entries => entries;

    /// <summary>What the shards' <c>__metadata__</c> say and do not contradict each other in.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; private set; } = new Dictionary<string, string>();

    /// <exception cref="InterpException">INDEX_*: what is wrong with the index, or between it and the shards; SAFETENSORS_* of a
    /// shard; FILE_NOT_FOUND and the like.</exception>
    public static ShardedSafeTensors Open(string path)
    {
        var source = new ShardedSafeTensors(path);
        try
        {
            source.Load(SafeTensorsIndex.Read(path));
            return source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    public Tensor Read(string name) => Home(name).Read(name);

    public Tensor Read(string name, ScalarType dtype) => Home(name).Read(name, dtype);

    public Tensor ReadBytes(string name) => Home(name).ReadBytes(name);

    public void Dispose()
    {
        foreach (var shard in shards.Values) shard.Dispose();
    }

    private SafeTensorsFile Home(string name) => homes.TryGetValue(name, out var shard)
        ? shard
        : throw InterpException.Unknown("UNKNOWN_TENSOR", $"tensor of '{Path}'", name, entries.Keys);

    private void Load(Dictionary<string, string> index)
    {
        var folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(Path))!;
        foreach (var file in index.Values.Distinct().Order(StringComparer.Ordinal))
            shards[file] = SafeTensorsFile.Open(System.IO.Path.Combine(folder, file));
        foreach (var (file, shard) in shards)
            foreach (var entry in shard.Entries.Values)
            {
                // A shard may carry a copy of what the index expects elsewhere.
                if (index.GetValueOrDefault(entry.Name, file) != file) continue;
                if (!homes.TryAdd(entry.Name, shard))
                    throw InterpException.DataLoss("INDEX_AMBIGUOUS", $"'{Path}' does not list tensor {Quoted.Name(entry.Name)}, and "
                        + $"more than one shard has it: '{homes[entry.Name].Path}' and '{shard.Path}'.");
                entries[entry.Name] = entry;
            }
        foreach (var (name, file) in index)
            if (!homes.ContainsKey(name))
                throw InterpException.DataLoss("INDEX_TENSOR_MISSING",
                    $"'{Path}' says that tensor {Quoted.Name(name)} is in {Quoted.Name(file)}, which does not have it.");
        Metadata = Agreed(shards.Values.Select(shard => shard.Metadata));
    }

    private static Dictionary<string, string> Agreed(IEnumerable<IReadOnlyDictionary<string, string>> all) =>
        all.SelectMany(metadata => metadata).GroupBy(pair => pair.Key, pair => pair.Value)
            .Where(values => values.Distinct().Count() == 1).ToDictionary(values => values.Key, values => values.First());
}
