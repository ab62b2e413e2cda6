using InteropInterp.Models;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Formats;

/// <summary>A file's tensors, checked before they are read, in the compute type and on the device that were asked for.</summary>
internal sealed class WeightFields(ITensorSource source, string path, DictionaryOptions options)
{
    private readonly HashSet<string> read = [];
    private readonly Device device = Devices.Of(options.Device);

    public bool Has(string name) => source.Entries.ContainsKey(name);

    public long Count(string name) => Entry(name).Count;

    /// <exception cref="InterpException">TENSOR_MISSING, DICTIONARY_SHAPE.</exception>
    public Tensor Read(string name, params IReadOnlyList<long> shape)
    {
        var entry = Entry(name);
        if (!entry.Shape.SequenceEqual(shape))
            throw InterpException.DataLoss("DICTIONARY_SHAPE",
                $"'{path}': {name} is [{string.Join(", ", entry.Shape)}]; [{string.Join(", ", shape)}] is expected by d_in and d_sae.");
        read.Add(name);
        return source.Read(name, options.DataType).to(device).contiguous();
    }

    /// <summary>A tensor of one number, whatever its rank.</summary>
    public double Number(string name)
    {
        if (Count(name) != 1)
            throw InterpException.DataLoss("DICTIONARY_SHAPE", $"'{path}': {name} has {Count(name)} entries; one is expected.");
        read.Add(name);
        return source.Read(name).to(ScalarType.Float64).item<double>();
    }

    /// <summary>Takes note of a tensor that inference does not need.</summary>
    public void Skip(string name) => read.Add(name);

    public IReadOnlyList<long> Shape(string name) => Entry(name).Shape;

    /// <summary>Refuses tensors that nobody asked for: they would mean another architecture.</summary>
    public void RefuseUnread()
    {
        foreach (var name in source.Entries.Keys)
            if (!read.Contains(name))
                throw InterpException.DataLoss("UNEXPECTED_TENSOR",
                    $"'{path}': tensor '{name}' does not belong to this architecture, "
                    + $"which has {string.Join(", ", read.Order(StringComparer.Ordinal))}.");
    }

    private TensorEntry Entry(string name) => source.Entries.TryGetValue(name, out var entry)
        ? entry
        : throw new InterpException(
            ErrorCode.DataLoss, "TENSOR_MISSING", $"'{path}' has no tensor {name}.", NearestNames.Find(name, source.Entries.Keys));
}
