using System.Text.Json;
using InteropInterp.Dictionaries.Architectures;
using InteropInterp.Dictionaries.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests;

/// <summary>Two tokens, three features, numbers that fit on a page.</summary>
public class HandVectorTests
{
    public static TheoryData<string> Cases =>
    [
        "standard", "standard_no_bdec_p2", "topk_rescaled", "topk_plain", "batchtopk", "matryoshka", "jumprelu_step_bw2",
        "jumprelu_negative_threshold",
    ];

    [Theory, MemberData(nameof(Cases))]
    public void Codes_and_reconstructions_of_the_hand_cases_hold(string name)
    {
        var facts = Fixture.FactsOf("hand_vectors");
        var hand = facts.GetProperty("cases").GetProperty(name);
        var config = hand.GetProperty("config");
        bool Flag(string field, bool fallback) => config.TryGetProperty(field, out var value) ? value.GetBoolean() : fallback;
        Tensor Given(string name) => Matrix(facts.GetProperty(name));
        var kind = hand.GetProperty("architecture").GetString()!;
        using var scope = NewDisposeScope();
        Architecture architecture = kind switch
        {
            "standard" => new Standard(),
            "topk" => new TopK(config.GetProperty("k").GetInt32()),
            "jumprelu" => new JumpRelu(Matrix(hand.GetProperty("params").GetProperty("threshold"))),
            // Three of the batch's six codes are kept: any threshold between the third and the fourth keeps the same.
            _ => new BatchTopK(2),
        };
        using var dictionary = new SparseDictionary(
            new DictionaryConfig
            {
                InputWidth = 2,
                Width = 3,
                SubtractsDecoderBias = Flag("apply_b_dec_to_input", true),
                RescalesByDecoderNorm = kind.Contains("topk") && Flag("rescale_acts_by_decoder_norm", true),
            },
            new DictionaryWeights(Given("W_enc").t().contiguous(), Given("b_enc"), Given("W_dec"), Given("b_dec")),
            architecture);
        var x = Matrix(facts.GetProperty("x"));
        Assert.InRange(Golden.Distance(dictionary.Encode(x), Matrix(hand.GetProperty("codes"))), 0, 1e-7);
        Assert.InRange(Golden.Distance(dictionary.Reconstruct(x), Matrix(hand.GetProperty("recon"))), 0, 1e-6);
    }

    private static Tensor Matrix(JsonElement rows)
    {
        var isVector = rows[0].ValueKind == JsonValueKind.Number;
        var values = isVector ? rows.EnumerateArray() : rows.EnumerateArray().SelectMany(r => r.EnumerateArray());
        var flat = tensor(values.Select(v => v.GetDouble()).ToArray());
        return isVector ? flat : flat.view(rows.GetArrayLength(), -1);
    }
}
