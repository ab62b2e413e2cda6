using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>
/// Builds a model's weights from a map, block by block: read in the compute type, process, pack into the layout that is
/// multiplied. Beside the finished weights it holds one block, or one embedding.
/// </summary>
internal sealed class WeightAssembler : IDisposable
{
    private readonly TransformerConfig config;
    private readonly WeightMap map;
    private readonly WeightReader reader;
    private readonly WeightProcessing processing;
    private readonly Device device;
    private readonly ScalarType dtype;
    private readonly Dictionary<string, long[]> shapes;
    private readonly HashSet<string> converted = [];

    public WeightAssembler(TransformerConfig config, WeightMap map, ProcessingOptions options, ScalarType dtype, Device device)
    {
        this.config = config;
        this.map = map;
        this.device = device;
        this.dtype = dtype;
        // Half types are processed in float32 and rounded once.
        reader = new WeightReader(map, ComputeTypes.IsHalf(dtype) ? ScalarType.Float32 : dtype);
        processing = new WeightProcessing(config, options);
        shapes = WeightNames.All(config, optional: true).ToDictionary(n => n.Name, n => n.Shape);
    }

    /// <summary>All weights. The source may be closed afterwards.</summary>
    public ModelWeights Assemble(CancellationToken cancellation = default)
    {
        var built = new List<Tensor?>();
        try
        {
            var (embed, positions) = Embedding();
            built.AddRange([embed, positions]);
            var blocks = new List<BlockWeights>();
            for (var layer = 0; layer < config.LayerCount; layer++)
            {
                cancellation.ThrowIfCancellationRequested();
                blocks.Add(Block($"blocks.{layer}."));
                built.AddRange(blocks[^1].Tensors);
            }
            var (final, unembed, bias) = Unembedding(embed);
            return new ModelWeights
            {
                Embed = embed, Positions = positions, Blocks = blocks, FinalNorm = final, Unembed = unembed, UnembedBias = bias,
            };
        }
        catch
        {
            foreach (var tensor in built) tensor?.Dispose();
            throw;
        }
    }

    private (Tensor Embed, Tensor? Positions) Embedding()
    {
        using var scope = NewDisposeScope();
        var w = Read(n => n.StartsWith("embed.", StringComparison.Ordinal) || n.StartsWith("pos_embed.", StringComparison.Ordinal));
        var embed = Own(w["embed.W_E"], TakeOver("embed.W_E"));
        var positions = Optional(w, "pos_embed.W_pos");
        processing.Embedding(embed, positions);
        return (Rounded(embed), positions is null ? null : Rounded(positions));
    }

    private BlockWeights Block(string block)
    {
        using var scope = NewDisposeScope();
        var w = Read(n => n.StartsWith(block, StringComparison.Ordinal));
        return processing.Block(
            new BlockWeights(Norm(w, block + "ln1"), Attention(w, block), Norm(w, block + "ln2"), config.HasMlp ? Mlp(w, block) : null)).Map(Rounded);
    }

    private (NormWeights?, Tensor, Tensor?) Unembedding(Tensor embed)
    {
        using var scope = NewDisposeScope();
        // Tied and untouched: one tensor serves both ends.
        var shared = config.TiedEmbeddings && processing.LeavesEmbeddings;
        var w = Read(n => n.StartsWith("ln_final.", StringComparison.Ordinal) || n == "unembed.b_U" || (n == "unembed.W_U" && !shared));
        var unembed = shared ? embed : Matrix(w["unembed.W_U"], TakeOver("unembed.W_U"));
        var (norm, bias) = processing.Unembedding(Norm(w, "ln_final"), unembed, Optional(w, "unembed.b_U"));
        return (norm?.Map(Rounded), shared ? embed : Rounded(unembed), bias is null ? null : Rounded(bias));
    }

    private AttentionWeights Attention(Dictionary<string, Tensor> w, string block)
    {
        var names = new[] { "Q", "K", "V" }.Select(which => WeightNames.Projection(block, which, config)).ToList();
        // [heads, d, d_head] -> [d, heads · d_head].
        var qkv = cat([.. names.Select(n => w[n.Weight].transpose(0, 1).flatten(1))], 1);
        Tensor? bias = null;
        if (names.Any(n => w.ContainsKey(n.Bias)))
            bias = cat([.. names.Select(n => (w.TryGetValue(n.Bias, out var b) ? b : zeros(shapes[n.Bias], qkv.dtype, qkv.device)).reshape(-1))], 0);
        // [head, d_head, d] -> [head · d_head, d].
        var output = w[block + "attn.W_O"].reshape(-1, config.ModelWidth);
        return new AttentionWeights(
            Matrix(qkv, isOwn: true), bias is null ? null : Own(bias, isOwn: true), Matrix(output), Optional(w, block + "attn.b_O"));
    }

    private MlpWeights Mlp(Dictionary<string, Tensor> w, string block)
    {
        var linear = w[block + "mlp.W_in"];
        var inner = config.GatedMlp ? cat([w[block + "mlp.W_gate"], linear], 1) : linear;
        var inBias = config.GatedMlp ? Both(w, block + "mlp.b_gate", block + "mlp.b_linear") : Optional(w, block + "mlp.b_in");
        var postBias = config.GatedMlp ? Optional(w, block + "mlp.b_in") : null;
        return new MlpWeights(
            Matrix(inner, isOwn: config.GatedMlp), inBias, postBias, Norm(w, block + "mlp.ln"), Matrix(w[block + "mlp.W_out"]),
            Optional(w, block + "mlp.b_out"));
    }

    private Tensor? Both(Dictionary<string, Tensor> w, string first, string second)
    {
        if (!w.ContainsKey(first) && !w.ContainsKey(second)) return null;
        Tensor Get(string name) => w.TryGetValue(name, out var t) ? t : zeros(shapes[name], w.Values.First().dtype, w.Values.First().device);
        return Own(cat([Get(first), Get(second)], 0), isOwn: true);
    }

    private NormWeights? Norm(Dictionary<string, Tensor> w, string name) =>
        w.TryGetValue(name + ".w", out var weight) ? new NormWeights(Own(weight), Optional(w, name + ".b")) : null;

    private Tensor? Optional(Dictionary<string, Tensor> w, string name) => w.TryGetValue(name, out var t) ? Own(t) : null;

    // The large ones are not copied again where reading has made a copy; the reader then must not hand it out once more.
    private bool TakeOver(string name)
    {
        if (!converted.Contains(name)) return false;
        reader.Forget();
        return true;
    }

    // [in, out] in memory, as matrix products like it best (Linear); [out, in] to the reader.
    private Tensor Matrix(Tensor t, bool isOwn = false)
    {
        using var stored = Own(t, isOwn);
        return stored.t().DetachFromDisposeScope();
    }

    // Every weight is the model's own, contiguous, on its device: a file that somebody overwrites must not change a loaded model.
    private Tensor Own(Tensor t, bool isOwn = false)
    {
        // A copy is made unless one was made already: by a conversion, or just now by contiguous().
        var result = t.is_contiguous() && !isOwn ? t.clone() : t.contiguous();
        return (result.device.Equals(device) ? result.alias() : result.to(device)).DetachFromDisposeScope();
    }

    // A finished weight in the compute type, laid out in memory as before.
    private Tensor Rounded(Tensor finished)
    {
        if (finished.dtype == dtype) return finished;
        using (finished) return finished.to(dtype).DetachFromDisposeScope();
    }

    private Dictionary<string, Tensor> Read(Func<string, bool> wanted)
    {
        var result = new Dictionary<string, Tensor>();
        foreach (var (name, shape) in shapes)
        {
            if (!wanted(name)) continue;
            if (!map.Contains(name))
            {
                if (WeightNames.IsBias(name)) continue;
                throw InterpException.DataLoss("WEIGHT_MISSING", $"The files have no {name} [{string.Join(", ", shape)}], which the config asks for.");
            }
            Tensor tensor;
            try
            {
                tensor = map.Read(name, reader);
                if (reader.LastIsOwn) converted.Add(name);
            }
            catch (System.Runtime.InteropServices.ExternalException e)
            {
                throw InterpException.DataLoss("WEIGHT_SHAPE", $"{name}: the stored tensor cannot be brought to [{string.Join(", ", shape)}].", e);
            }
            if (!tensor.shape.SequenceEqual(shape))
                throw InterpException.DataLoss("WEIGHT_SHAPE",
                    $"{name} is [{string.Join(", ", tensor.shape)}]; the config asks for [{string.Join(", ", shape)}].");
            result[name] = tensor;
        }
        return result;
    }

    public void Dispose() => reader.Dispose();
}
