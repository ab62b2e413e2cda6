using InteropInterp.Tensors;
using InteropInterp.Tensors.Gguf;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Tensors.Gguf;

/// <summary>A real model: SmolLM2-135M-Instruct, Q4_1.</summary>
public class SmolLmTests
{
    private static GgufFile Open() => GgufFile.Open(SharedFolder.Path("models", "09_smollm2_135m", "SmolLM2-135M-Instruct.Q4_1.gguf"));

    [Fact]
    public void Tensors_have_the_formats_and_shapes_of_the_model()
    {
        using var file = Open();
        var formats = file.Entries.Values.CountBy(e => e.Format).ToDictionary(x => x.Key, x => x.Value);
        Assert.Equal(new Dictionary<string, int> { ["Q4_1"] = 210, ["F32"] = 61, ["Q8_0"] = 1 }, formats);
        Assert.Equal([49152, 576], file.Entries["token_embd.weight"].Shape);
        Assert.Equal([1536, 576], file.Entries["blk.0.ffn_gate.weight"].Shape);
        Assert.Equal([576, 1536], file.Entries["blk.29.ffn_down.weight"].Shape);
        Assert.Equal([192, 576], file.Entries["blk.29.attn_k.weight"].Shape);
        Assert.Equal([576], file.Entries["output_norm.weight"].Shape);
    }

    [Fact]
    public void Metadata_and_the_tokenizer_are_typed()
    {
        using var file = Open();
        Assert.Equal("llama", file.Metadata["general.architecture"]);
        Assert.Equal(30, file.Value<long>("llama.block_count"));
        Assert.Equal(100000, file.Value<double>("llama.rope.freq_base"));
        Assert.False(file.Value<bool>("tokenizer.ggml.add_bos_token"));
        Assert.Equal("smollm", file.Value<string>("tokenizer.ggml.pre"));
        Assert.Equal(49152, file.Value<string[]>("tokenizer.ggml.tokens").Length);
        Assert.Equal(49152, file.Value<int[]>("tokenizer.ggml.token_type").Length);
        Assert.Equal("Ġ t", file.Value<string[]>("tokenizer.ggml.merges")[0]);
    }

    [Fact]
    public void Weights_are_what_the_reference_loops_give()
    {
        using var file = Open();
        foreach (var entry in file.Entries.Values)
        {
            // The first and the last layer and what is in none.
            if (entry.Name.Split('.') is ["blk", not ("0" or "29"), ..]) continue;
            using var scope = NewDisposeScope();
            var stored = Values.Of<byte>(file.ReadBytes(entry.Name));
            var expected = entry.Type == StorageType.F32
                ? System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(stored).ToArray()
                : LiteralBlocks.Dequantize(entry.Format, stored);
            var weights = file.Read(entry.Name, ScalarType.Float32);
            Assert.Equal(entry.Shape, weights.shape);
            Values.AssertSame(expected, Values.Of<float>(weights));
        }
    }
}
