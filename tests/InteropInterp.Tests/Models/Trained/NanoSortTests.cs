using System.Text.Json.Nodes;
using InteropInterp.Models;
using InteropInterp.Plans;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models.Trained;

/// <summary>Model 02: minGPT that sorts six letters, with the activations that its authors published.</summary>
public class NanoSortTests
{
    private static JsonNode Read(string file) => JsonNode.Parse(File.ReadAllText(SharedFolder.Path("models", "02_gpt_nano_sort", file)))!;

    private static Tensor Decode(JsonNode entry)
    {
        var bytes = Convert.FromBase64String((string)entry["data"]!);
        var values = new float[bytes.Length / 4];
        Buffer.BlockCopy(bytes, 0, values, 0, bytes.Length);
        return tensor(values, [.. entry["shape"]!.AsArray().Select(n => (long)n!)]);
    }

    // nn.Linear weights [out, in], q, k, v side by side.
    private static TransformerModel Load()
    {
        using var scope = NewDisposeScope();
        var file = Read("gpt-nano-sort-model.json");
        Tensor T(string name) => Decode(file[name]!);
        var config = new TransformerConfig
        {
            LayerCount = 3, ModelWidth = 48, HeadCount = 3, HeadWidth = 16, MlpWidth = 192, ContextLength = 11, VocabularySize = 3, Activation = "gelu_new",
        };
        var w = new Dictionary<string, Tensor>
        {
            ["embed.W_E"] = T("transformer.wte.weight"),
            ["pos_embed.W_pos"] = T("transformer.wpe.weight"),
            ["ln_final.w"] = T("transformer.ln_f.weight"),
            ["ln_final.b"] = T("transformer.ln_f.bias"),
            ["unembed.W_U"] = T("lm_head.weight").t(),
        };
        for (var l = 0; l < 3; l++)
        {
            string from = $"transformer.h.{l}.", to = $"blocks.{l}.";
            for (var n = 1; n <= 2; n++) (w[$"{to}ln{n}.w"], w[$"{to}ln{n}.b"]) = (T($"{from}ln_{n}.weight"), T($"{from}ln_{n}.bias"));
            for (var i = 0; i < 3; i++)
            {
                w[$"{to}attn.W_{"QKV"[i]}"] = T(from + "attn.c_attn.weight").narrow(0, 48 * i, 48).reshape(3, 16, 48).transpose(1, 2);
                w[$"{to}attn.b_{"QKV"[i]}"] = T(from + "attn.c_attn.bias").narrow(0, 48 * i, 48).reshape(3, 16);
            }
            w[to + "attn.W_O"] = T(from + "attn.c_proj.weight").t().reshape(3, 16, 48);
            w[to + "attn.b_O"] = T(from + "attn.c_proj.bias");
            (w[to + "mlp.W_in"], w[to + "mlp.b_in"]) = (T(from + "mlp.c_fc.weight").t(), T(from + "mlp.c_fc.bias"));
            (w[to + "mlp.W_out"], w[to + "mlp.b_out"]) = (T(from + "mlp.c_proj.weight").t(), T(from + "mlp.c_proj.bias"));
        }
        return ModelLoader.FromStateDict(config, w);
    }

    [Fact]
    public void Every_activation_that_its_authors_published_is_reproduced()
    {
        using var model = Load();
        using var scope = NewDisposeScope();
        var published = Read("gpt-nano-sort-t0-partials.json");
        var tokens = Decode(published["idx"]!).to(ScalarType.Int64).data<long>().ToArray();
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(Enumerable.Range(0, 3).Select(r => (IReadOnlyList<int>)[.. tokens.Skip(11 * r).Take(11).Select(t => (int)t)])),
            Outputs = Outputs.AllLogits,
            Captures = [new Capture("*")],
        });
        Tensor Block(string point) => run[$"blocks.0.{point}"];
        // [rows, pos, head, d_head] -> [rows, head, pos, d_head], as minGPT keeps them.
        Tensor Heads(string point) => Block(point).transpose(1, 2);
        Tensor Normed(string norm) => (Block($"{norm}.hook_normalized") * model.StateDict[$"blocks.0.{norm}.w"]).add(model.StateDict[$"blocks.0.{norm}.b"], Native.Operators.Scalars.One);
        Tensor Flat(string point) => Block(point).flatten(2);
        var ours = new Dictionary<string, Tensor>
        {
            ["tok_emb"] = run["hook_embed"],
            ["pos_emb"] = run["hook_pos_embed"].narrow(0, 0, 1),
            ["x"] = Block("hook_resid_pre"),
            ["ln1"] = Normed("ln1"),
            ["q"] = Heads("attn.hook_q"),
            ["k"] = Heads("attn.hook_k"),
            ["v"] = Heads("attn.hook_v"),
            ["qkv"] = cat([Flat("attn.hook_q"), Flat("attn.hook_k"), Flat("attn.hook_v")], -1),
            ["att"] = Block("attn.hook_attn_scores"),
            ["attSm"] = Block("attn.hook_pattern"),
            ["y"] = Flat("attn.hook_z"),
            ["yProj"] = Block("hook_attn_out"),
            ["attnResid"] = Block("hook_resid_mid"),
            ["ln2"] = Normed("ln2"),
            ["fc"] = Block("mlp.hook_pre"),
            ["gelu"] = Block("mlp.hook_post"),
            ["mlp"] = Block("hook_mlp_out"),
            ["mlpResid"] = Block("hook_resid_post"),
            ["block0"] = run["blocks.0.hook_resid_post"],
            ["block1"] = run["blocks.1.hook_resid_post"],
            ["block2"] = run["blocks.2.hook_resid_post"],
            ["ln_f"] = run["unembed.hook_in"],
            ["lm_head"] = run.Logits!,
            ["probs"] = run.Logits!.softmax(-1),
        };
        // All but the input itself and the config.
        Assert.Equal(published.AsObject().Select(p => p.Key).Except(["config", "idx"]).Order(), ours.Keys.Order());
        Assert.Equal(24, ours.Count);
        foreach (var (name, tensor) in ours)
        {
            var distance = Golden.Distance(tensor, Decode(published[name]!).reshape(tensor.shape));
            Assert.True(distance <= 5e-6, $"{name}: off by {distance:G3}");
        }
    }

    [Fact]
    public void It_sorts_all_729_inputs()
    {
        using var model = Load();
        var inputs = Enumerable.Range(0, 729).Select(n => Enumerable.Range(0, 6).Select(i => n / (int)Math.Pow(3, i) % 3).ToArray()).ToList();
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(inputs.Select(letters => (IReadOnlyList<int>)[.. letters, .. letters.Order().Take(5)])),
            Outputs = Outputs.AllLogits,
        });
        using var scope = NewDisposeScope();
        var said = run.Logits!.narrow(1, 5, 6).argmax(-1).data<long>().ToArray();
        for (var i = 0; i < inputs.Count; i++) Assert.Equal(inputs[i].Order().Select(x => (long)x), said.Skip(6 * i).Take(6));
    }
}
