using System.Globalization;
using System.Text.RegularExpressions;
using InteropInterp.Generation;
using InteropInterp.Native.Operators;
using InteropInterp.Randomness;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Generation;

public partial class SamplerTests
{
    public static TheoryData<string> Settings =>
    [
        "", "temperature=0.5", "temperature=2.0", "top_k=1", "top_k=5", "top_k=100", "top_p=0.1", "top_p=0.5", "top_p=0.9", "top_p=1.0", "freq_penalty=1.0",
        "freq_penalty=2.0, temperature=0.5", "repetition_penalty=1.3", "repetition_penalty=0.7",
        "repetition_penalty=1.3, freq_penalty=0.5, temperature=0.8, top_k=6", "temperature=0.7, top_p=0.8",
    ];

    private static GenerationOptions Parse(string settings)
    {
        var options = new GenerationOptions();
        foreach (Match m in Setting().Matches(settings))
        {
            var value = double.Parse(m.Groups[2].Value, CultureInfo.InvariantCulture);
            options = m.Groups[1].Value switch
            {
                "temperature" => options with { Temperature = value },
                "top_k" => options with { TopK = (int)value },
                "top_p" => options with { TopP = value },
                "freq_penalty" => options with { FrequencyPenalty = value },
                _ => options with { RepetitionPenalty = value },
            };
        }
        return options;
    }

    [Theory, MemberData(nameof(Settings))]
    public void The_distribution_drawn_from_is_TransformerLenss(string settings)
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "sampling.safetensors"));
        using var scope = NewDisposeScope();
        var history = golden.Rows("tokens").Select(r => (IReadOnlyList<int>)r).ToList();
        golden.Near($"probs({settings})", Sampler.Probabilities(golden["logits"], Parse(settings), history), 1e-6);
    }

    [Fact]
    public void Ties_at_the_kth_place_all_stay_and_the_likeliest_is_the_first_of_equals()
    {
        using var scope = NewDisposeScope();
        var logits = tensor(new[] { 1f, 2, 2, 2, 0 }).unsqueeze(0);
        Assert.Equal(0, Golden.Distance(Sampler.Probabilities(logits, new GenerationOptions { TopK = 2 }, [[]]), tensor(new[] { 0, 1 / 3f, 1 / 3f, 1 / 3f, 0 }).unsqueeze(0)), 1e-6);
        Assert.Equal([1], Sampler.Next(logits, new GenerationOptions { Temperature = 0 }, [[]], [0], 0, 0));
    }

    [Fact]
    public void Draws_follow_the_distribution_and_depend_on_seed_row_and_step_alone()
    {
        using var scope = NewDisposeScope();
        const int rows = 20_000;
        var probabilities = new[] { .5, .2, .2, .1 };
        var logits = tensor(probabilities).log().unsqueeze(0).expand(rows, -1);
        var numbers = Enumerable.Range(0, rows).ToList();
        var history = Enumerable.Repeat((IReadOnlyList<int>)[], rows).ToList();
        var drawn = Sampler.Next(logits, new GenerationOptions(), history, numbers, 3, 42);
        for (var token = 0; token < 4; token++) Assert.Equal(probabilities[token], drawn.Count(t => t == token) / (double)rows, .015);
        Assert.Equal(drawn, Sampler.Next(logits, new GenerationOptions(), history, numbers, 3, 42));
        // A row draws the same whatever batch it is in.
        Assert.Equal(drawn[^10..], Sampler.Next(logits.narrow(0, 0, 10), new GenerationOptions(), history[..10], numbers[^10..], 3, 42));
        Assert.NotEqual(drawn, Sampler.Next(logits, new GenerationOptions(), history, numbers, 4, 42));
        Assert.NotEqual(drawn, Sampler.Next(logits, new GenerationOptions(), history, numbers, 3, 43));
    }

    [Fact]
    public void The_counter_based_generator_is_Philox()
    {
        // Known answers of the Random123 distribution: zero, all ones, and digits of pi.
        Assert.Equal((0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u), CounterRandom.Block(0, 0, 0));
        Assert.Equal((0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu), CounterRandom.Block(ulong.MaxValue, ulong.MaxValue, ulong.MaxValue));
        Assert.Equal((0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u), CounterRandom.Block(0x299f31d0_a4093822, 0x85a308d3_243f6a88, 0x03707344_13198a2e));
    }

    [GeneratedRegex(@"(\w+)=([\d.]+)")]
    private static partial Regex Setting();
}
