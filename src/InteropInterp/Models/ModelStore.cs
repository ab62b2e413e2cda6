using InteropInterp.Tokens;

namespace InteropInterp.Models;

/// <summary>
/// The models of this process, each loaded once however many clients use it, and gone with the last of them. Safe for many
/// threads: those who ask for a model that is being loaded wait for it.
/// </summary>
public sealed class ModelStore
{
    /// <summary>The store that everything in this process shares unless it makes its own.</summary>
    public static ModelStore Shared { get; } = new();

    private readonly Lock gate = new();
    private readonly Dictionary<ModelKey, Entry> entries = [];
    private readonly long? maxBytes;

    /// <param name="maxBytes">What the weights of all models may hold together; null: no limit.</param>
    public ModelStore(long? maxBytes = null)
    {
        this.maxBytes = maxBytes;
    }

    private sealed class Entry(ModelKey key, Func<LoadedModel> load)
    {
        public ModelKey Key { get; } = key;
        public Lazy<LoadedModel> Model { get; } = new(load, LazyThreadSafetyMode.ExecutionAndPublication);
        public int Users { get; set; }
    }

    /// <summary>How many models are held.</summary>
    public int Count
    {
        get
        {
            lock (gate) return entries.Count;
        }
    }

    /// <summary>Bytes of the weights of all models that are held.</summary>
    public long WeightBytes
    {
        get
        {
            lock (gate) return entries.Values.Where(e => e.Model.IsValueCreated).Sum(e => e.Model.Value.Model.WeightBytes);
        }
    }

    /// <summary>Refuses what would not fit beside the models that are held.</summary>
    /// <exception cref="InterpException">MODELS_TOO_LARGE.</exception>
    public void RequireRoom(string name, double bytes)
    {
        if (maxBytes is not { } limit || WeightBytes + bytes <= limit) return;
        throw new InterpException(ErrorCode.ResourceExhausted, "MODELS_TOO_LARGE",
            $"'{name}' needs {bytes / (1 << 20):N0} MiB for its weights; {WeightBytes >> 20:N0} of at most {limit >> 20:N0} MiB are taken. Close a model first, or load fewer layers.");
    }

    /// <summary>A share in the model of a name; dispose it once.</summary>
    /// <exception cref="InterpException">MODELS_TOO_LARGE; those of <see cref="ModelLoader"/>.</exception>
    public ModelShare Load(string name, LoadOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new LoadOptions();
        var files = ModelFiles.Find(name);
        var key = ModelKey.Of(files, options);
        if (maxBytes is not null && !Holds(key)) RequireRoom(name, ModelSize.Of(files, options.DataType));
        return Take(key, () => new LoadedModel(key.Digest, ModelLoader.Load(files, options, cancellation), TokenizerOf(files)), cancellation);
    }

    /// <summary>A share in a model that came from nowhere else: random weights, a state dict in memory.</summary>
    public ModelShare Add(TransformerModel model, ITokenizer? tokenizer = null)
    {
        var key = new ModelKey(Guid.NewGuid().ToString("N"), new LoadOptions());
        return Take(key, () => new LoadedModel(key.Digest, model, tokenizer));
    }

    private ModelShare Take(ModelKey key, Func<LoadedModel> load, CancellationToken cancellation = default)
    {
        while (true)
        {
            Entry entry;
            lock (gate)
            {
                if (!entries.TryGetValue(key, out entry!)) entries[key] = entry = new Entry(key, load);
                entry.Users++;
            }
            try
            {
                return new ModelShare(entry.Model.Value, () => Leave(entry));
            }
            catch (InterpException e) when (e.Code == ErrorCode.Cancelled && !cancellation.IsCancellationRequested)
            {
                // Somebody else began to load it and gave up: it is our turn.
                Forget(entry);
            }
            catch
            {
                Forget(entry);
                throw;
            }
        }
    }

    private bool Holds(ModelKey key)
    {
        lock (gate) return entries.ContainsKey(key);
    }

    // A load that failed is not kept: the next one tries again.
    private void Forget(Entry entry)
    {
        lock (gate)
            if (entries.TryGetValue(entry.Key, out var held) && ReferenceEquals(held, entry)) entries.Remove(entry.Key);
    }

    private void Leave(Entry entry)
    {
        lock (gate)
        {
            if (--entry.Users > 0) return;
            Forget(entry);
        }
        entry.Model.Value.Model.Dispose();
    }

    private static ITokenizer? TokenizerOf(ModelFiles files)
    {
        if (files.Layout == ModelLayout.Gguf)
        {
            using var gguf = Tensors.Gguf.GgufFile.Open(files.WeightsPath);
            return gguf.Values.ContainsKey("tokenizer.ggml.model") ? TokenizerLoader.FromGguf(gguf.Values) : null;
        }
        try
        {
            return TokenizerLoader.FromFolder(files.Folder);
        }
        catch (InterpException e) when (e.Reason == "TOKENIZER_NOT_FOUND")
        {
            return null;
        }
    }
}

/// <summary>A model with its tokenizer, as a store holds it.</summary>
/// <param name="Digest">Of its files; a random name for a model that has none.</param>
public sealed record LoadedModel(string Digest, TransformerModel Model, ITokenizer? Tokenizer);

/// <summary>One client's share in a loaded model.</summary>
public sealed class ModelShare(LoadedModel loaded, Action leave) : IDisposable
{
    private int done;

    public string Digest => loaded.Digest;
    public ITokenizer? Tokenizer => loaded.Tokenizer;

    /// <exception cref="InterpException">MODEL_CLOSED.</exception>
    public TransformerModel Model => done == 0
        ? loaded.Model
        : throw InterpException.Precondition("MODEL_CLOSED", $"The model '{loaded.Model.Config.ModelName}' was closed; load it again.");

    public void Dispose()
    {
        if (Interlocked.Exchange(ref done, 1) == 0) leave();
    }
}
