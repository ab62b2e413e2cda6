using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>
/// Where the tensors of a TransformerLens state dict come from in a file of another layout: one function per name, evaluated
/// when the name is wanted, so that loading never holds a model twice.
/// </summary>
public sealed class WeightMap(ITensorSource source)
{
    private readonly Dictionary<string, Func<WeightReader, Tensor>> entries = [];
    private string prefix = "";

    public ITensorSource Source => source;

    /// <summary>Names may carry this prefix or not: checkpoints come both ways.</summary>
    public void StripPrefix(string value) => prefix = value;

    public void Add(string name, Func<WeightReader, Tensor> read) => entries[name] = read;

    /// <summary>The tensor as it stands.</summary>
    public void Take(string name, string theirs) => Add(name, r => r[theirs]);

    /// <summary>Only where the file has it; its absence stands for zeros.</summary>
    public void AddIfPresent(string name, string theirs, Func<Tensor, Tensor> shape)
    {
        if (Has(theirs)) Add(name, r => shape(r[theirs]));
    }

    /// <summary>A norm's weight and, where the file has one, bias.</summary>
    public void TakeNorm(string name, string theirs)
    {
        Take(name + ".w", theirs + ".weight");
        AddIfPresent(name + ".b", theirs + ".bias", t => t);
    }

    /// <summary>W_E [vocabulary, d]; a checkpoint with tied embeddings may hold them under the head's name only.</summary>
    public void TakeEmbedding(TransformerConfig config, string embedding, string head) =>
        Take("embed.W_E", Tied(config, embedding, head));

    /// <summary>W_U [d, vocabulary] from a [vocabulary, d] head, or from the embedding where the two are tied.</summary>
    public void TakeUnembed(TransformerConfig config, string head, string embedding)
    {
        var name = config.TiedEmbeddings ? Tied(config, embedding, head) : head;
        Add("unembed.W_U", r => r[name].t());
        AddIfPresent("unembed.b_U", System.IO.Path.ChangeExtension(head, "bias"), t => t);
    }

    /// <summary>Something more to do with a tensor that is mapped.</summary>
    public void Then(string name, Func<Tensor, Tensor> change)
    {
        if (entries.TryGetValue(name, out var read)) entries[name] = r => change(read(r));
    }

    private string Tied(TransformerConfig config, string embedding, string head) =>
        config.TiedEmbeddings && !Has(embedding) && Has(head) ? head : embedding;

    public bool Contains(string name) => entries.ContainsKey(name);

    /// <summary>One tensor of the state dict.</summary>
    internal Tensor Read(string name, WeightReader reader) => entries[name](reader);

    internal string Resolve(string theirs) => source.Entries.ContainsKey(prefix + theirs) ? prefix + theirs : theirs;

    private bool Has(string theirs) => source.Entries.ContainsKey(Resolve(theirs));
}
