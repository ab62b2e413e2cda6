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

    private readonly SharedStore<ModelKey, LoadedModel> models = new(loaded => loaded.Model.Dispose());

    /// <param name="maxBytes">What the weights of all models may hold together; null: no limit.</param>
    public ModelStore(long? maxBytes = null)
    {
        MaxBytes = maxBytes;
    }

    /// <summary>What the weights of all models may hold together; null: no limit.</summary>
    public long? MaxBytes { get; }

    /// <summary>How many models are held.</summary>
    public int Count => models.Count;

    /// <summary>Bytes of the weights of all models that are held.</summary>
    public long WeightBytes => models.Values.Sum(loaded => loaded.Model.WeightBytes);

    /// <summary>Refuses what would not fit beside the models that are held.</summary>
    /// <exception cref="InterpException">MODELS_TOO_LARGE.</exception>
    public void RequireRoom(string name, double bytes)
    {
        if (MaxBytes is not { } limit || WeightBytes is var held && held + bytes <= limit) return;
        throw new InterpException(ErrorCode.ResourceExhausted, "MODELS_TOO_LARGE",
            $"'{name}' needs {bytes / 1024:N0} KiB for its weights; {held >> 10:N0} of at most {limit >> 10:N0} KiB are taken. " +
            "Close a model first, or load fewer layers.");
    }

    /// <summary>A share in the model of a name; dispose it once.</summary>
    /// <exception cref="InterpException">MODELS_TOO_LARGE; those of <see cref="ModelLoader"/>.</exception>
    public ModelShare Load(string name, LoadOptions? options = null, CancellationToken cancellation = default)
    {
        options = (options ?? new LoadOptions()).Resolved();
        var files = ModelFiles.Find(name);
        var key = ModelKey.Of(files, options);
        if (MaxBytes is not null && !models.Holds(key)) RequireRoom(name, ModelSize.Of(files, options.DataType));
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
        var (loaded, leave) = models.Take(key, load, cancellation);
        return new ModelShare(loaded, leave);
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
