using InteropInterp.Models;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>A cache as a safetensors file: its tensors by hook point, and in the metadata what their axes are.</summary>
internal static class ActivationCacheFile
{
    private const string Batch = "has_batch_dim";
    private const string RowSpans = "row_spans";

    public static void Save(string path, Dictionary<string, Tensor> activations, bool hasBatch, IReadOnlyList<RowSpan>? spans)
    {
        // Python's spelling: its ActivationCache writes the same file.
        var metadata = new Dictionary<string, string> { [Batch] = hasBatch ? "True" : "False" };
        if (spans is not null) metadata[RowSpans] = string.Join(' ', spans.Select(s => $"{s.Offset}:{s.Length}"));
        SafeTensors.Save(path, activations, metadata);
    }

    public static ActivationCache Load(string path, TransformerModel model)
    {
        using var file = SafeTensorsFile.Open(path);
        using var scope = NewDisposeScope();
        var hasBatch = file.Metadata.GetValueOrDefault(Batch) switch
        {
            "True" => true,
            "False" => false,
            var other => throw Invalid($"its {Batch} is '{other}'; True or False is expected"),
        };
        var spans = file.Metadata.TryGetValue(RowSpans, out var text) ? Parse(text) : null;
        var tensors = file.Entries.Keys.ToDictionary(name => name, name => file.Read(name).to(model.Device));
        if (spans is not null)
            foreach (var (name, tensor) in tensors)
                if (tensor.dim() < 1 || tensor.size(0) != spans.Count) throw Invalid($"it has {spans.Count} rows, and '{name}' has not");
        return new ActivationCache(model, tensors, hasBatch, spans);

        List<RowSpan> Parse(string text)
        {
            var spans = new List<RowSpan>();
            foreach (var part in text.Split(' '))
            {
                var numbers = Array.ConvertAll(part.Split(':'), n => int.TryParse(n, out var number) && number >= 0 ? number : -1);
                if (numbers.Length != 2 || numbers.Contains(-1)) throw Invalid($"'{part}' is no offset:length of a row");
                spans.Add(new RowSpan(numbers[0], numbers[1]));
            }
            return spans;
        }

        InterpException Invalid(string what) => InterpException.DataLoss("CACHE_INVALID", $"'{path}' is no activation cache: {what}.");
    }
}
