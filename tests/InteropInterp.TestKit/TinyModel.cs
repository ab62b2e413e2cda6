using System.Text.Json.Nodes;
using InteropInterp.Models;

namespace InteropInterp.TestKit;

/// <summary>A model of some thousand random weights that reads the letters a to z, a space and an end of text.</summary>
public static class TinyModel
{
    public const int Vocabulary = 29;
    public const int EndOfText = 28;

    public static TransformerConfig Config { get; } = new TransformerConfig
    {
        ModelName = "tiny", LayerCount = 3, ModelWidth = 16, HeadWidth = 4, ContextLength = 24, VocabularySize = Vocabulary, Activation = "gelu_new",
        InitializerRange = 0.4, Seed = 5,
    }.Complete();

    /// <summary>The config as JSON.</summary>
    public static string Json(int seed = 5) => TransformerConfigJson.Write(Config with { Seed = seed });

    /// <summary>Writes the model, with a tokenizer, into a folder that is made below another.</summary>
    /// <param name="parent">A folder.</param>
    /// <returns>The folder's path.</returns>
    public static string Write(string parent, string name = "tiny", int seed = 5)
    {
        var folder = Directory.CreateDirectory(Path.Combine(parent, name)).FullName;
        using (var model = ModelLoader.Random(Config with { Seed = seed })) ModelSaver.Save(model, folder);
        var vocabulary = new JsonObject { ["<unk>"] = 0 };
        for (var c = 'a'; c <= 'z'; c++) vocabulary[c.ToString()] = c - 'a' + 1;
        vocabulary[" "] = 27;
        vocabulary["<end>"] = EndOfText;
        var end = new JsonObject { ["id"] = EndOfText, ["content"] = "<end>", ["special"] = true };
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), new JsonObject
        {
            ["decoder"] = new JsonObject { ["type"] = "Fuse" },
            ["added_tokens"] = new JsonArray(end),
            ["model"] = new JsonObject { ["type"] = "BPE", ["unk_token"] = "<unk>", ["vocab"] = vocabulary, ["merges"] = new JsonArray() },
        }.ToJsonString());
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"bos_token": "<end>", "eos_token": "<end>"}""");
        return folder;
    }
}
