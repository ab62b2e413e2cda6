using System.Text.Json;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Models;

/// <summary>SmolLM2-135M and the dictionary that SAELens trained on its layer 14, loaded once. Position 0 of a row is left alone.</summary>
public sealed class SmolLmFixture : IDisposable
{
    public const int Layer = 14;
    public const string Hook = "blocks.14.hook_resid_post";

    /// <summary>The same activation, where a run resumes from it.</summary>
    public const string NextHook = "blocks.15.hook_resid_pre";

    private readonly Golden? golden;
    private readonly JsonDocument? facts;
    private readonly TransformerModel? model;
    private readonly SparseDictionary? dictionary;

    public SmolLmFixture()
    {
        if (!SharedFolder.IsPresent) return;
        golden = new Golden(SharedFolder.Path("models", "10_smollm2_sae", "golden.safetensors"));
        facts = JsonDocument.Parse(File.ReadAllText(SharedFolder.Path("models", "10_smollm2_sae", "golden.json")));
        model = ModelLoader.Load(SharedFolder.Path("models", "09_smollm2_135m"), new LoadOptions { Processing = ProcessingOptions.None });
        dictionary = DictionaryLoader.Load(SharedFolder.Path("models", "10_smollm2_sae"));
        Rows = Row.From(golden.Rows("judge_ids"));
        // The model's table of rotary angles grows with the first long row.
        using (PlanRunner.Run(model, new Plan { Rows = [Rows[0]], StopAtLayer = 1 }))
        {
        }
        Feature = Facts.GetProperty("feature").GetProperty("id").GetInt32();
    }

    public JsonElement Facts => Present(facts).RootElement;
    public Golden Golden => Present(golden);
    public TransformerModel Model => Present(model);
    public SparseDictionary Dictionary => Present(dictionary);

    /// <summary>The held-out text: 64 rows of 128 tokens.</summary>
    public IReadOnlyList<Row> Rows { get; } = [];

    public int Feature { get; }

    public static Selector AllButFirst { get; } = new() { Positions = Positions.Slice(1) };

    public double Fact(string name) => Facts.GetProperty(name).GetDouble();

    public void Dispose()
    {
        golden?.Dispose();
        facts?.Dispose();
        model?.Dispose();
        dictionary?.Dispose();
    }

    private static T Present<T>(T? value)
        where T : class
    {
        // Skips the test, and says why.
        if (value is null) SharedFolder.Path();
        return value!;
    }
}
