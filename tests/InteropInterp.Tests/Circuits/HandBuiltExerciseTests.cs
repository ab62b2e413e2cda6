using InteropInterp.Circuits;
using InteropInterp.Circuits.Weights;
using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Circuits;

/// <summary>
/// The exercises to "A Mathematical Framework for Transformer Circuits" (transformer-circuits.pub/2021/exercises) as models whose
/// weights are written down, and what the tools say of them.
/// </summary>
public class HandBuiltExerciseTests
{
    // The residual stream: one-hot content, sine and cosine of positions, room for content and for a position, the prediction.
    private const int Tokens = 21, Pairs = 16, Positional = 2 * Pairs;
    private const int Content = 0, Position = Tokens, ContentMemory = Position + Positional, PositionMemory = ContentMemory + Tokens;
    private const int Out = PositionMemory + Positional, Width = Out + Tokens;
    private const int HeadWidth = Tokens + Positional, Bos = 0, Half = Tokens - 1, Length = 1 + 2 * Half;
    private const double Scale = 8;

    private static readonly Row Repeated = new([Bos, .. Shuffled, .. Shuffled]);

    private static IEnumerable<int> Shuffled => Enumerable.Range(0, Half).Select(i => 1 + i * 7 % Half);

    private static double Angle(int pair) => Math.PI / Math.Pow(1.6, pair);

    // [rows of the stream, head]: ones from stream dimensions to head dimensions.
    private static Tensor Reads(int from, int count, int to = 0, double factor = 1)
    {
        var matrix = zeros([Width, HeadWidth], ScalarType.Float64);
        matrix.narrow(0, from, count).narrow(1, to, count).copy_(eye(count, dtype: ScalarType.Float64).Times(factor));
        return matrix;
    }

    private static Tensor Writes(int to, int count, int from = 0) => Reads(to, count, from).t();

    // Positions moved by some steps: row vectors times block rotations.
    private static Tensor Rotated(Tensor reads, int from, int steps)
    {
        var rotation = eye(Width, dtype: ScalarType.Float64);
        for (var k = 0; k < Pairs; k++)
        {
            var (cos, sin) = (Math.Cos(steps * Angle(k)), Math.Sin(steps * Angle(k)));
            rotation.narrow(0, from + 2 * k, 2).narrow(1, from + 2 * k, 2).copy_(tensor(new[,] { { cos, sin }, { -sin, cos } }));
        }
        return rotation.MatMul(reads);
    }

    private sealed record Head(Tensor Q, Tensor K, Tensor V, Tensor O);

    private static TransformerModel Model(params Head[][] layers)
    {
        var positions = tensor(Enumerable.Range(0, Length).SelectMany(p => Enumerable.Range(0, Pairs)
            .SelectMany(k => new[] { Math.Cos(p * Angle(k)), Math.Sin(p * Angle(k)) })).ToArray(), [Length, Positional]);
        return HandBuilt.Model(new TransformerConfig
        {
            LayerCount = layers.Length, ModelWidth = Width, HeadWidth = HeadWidth, HeadCount = layers[0].Length, ContextLength = Length, VocabularySize = Tokens,
            AttentionOnly = true, Normalization = null, UseAttentionScale = false,
        }, (name, shape) =>
        {
            var weight = zeros(shape, ScalarType.Float64);
            if (name == "embed.W_E") weight.narrow(1, Content, Tokens).copy_(eye(Tokens));
            else if (name == "pos_embed.W_pos") weight.narrow(1, Position, Positional).copy_(positions);
            else if (name == "unembed.W_U") weight.narrow(0, Out, Tokens).copy_(eye(Tokens));
            else
            {
                var parts = name.Split('.');
                return stack([.. layers[int.Parse(parts[1])].Select(h => parts[3] switch { "W_Q" => h.Q, "W_K" => h.K, "W_V" => h.V, _ => h.O })]);
            }
            return weight;
        });
    }

    // The mean attention of a head from positions of the second half to where `target` says.
    private static double Attention(TransformerModel model, int layer, int head, Func<int, int> target)
    {
        using var run = PlanRunner.Run(model, new Plan { Rows = [Repeated], Captures = [new Capture($"blocks.{layer}.attn.hook_pattern")] });
        using var scope = NewDisposeScope();
        var pattern = run[$"blocks.{layer}.attn.hook_pattern"][0, head];
        return Enumerable.Range(1 + Half, Half).Average(i => pattern[i, target(i)].item<double>());
    }

    // How often the model predicts the next token within the second half.
    private static double Accuracy(TransformerModel model)
    {
        using var run = PlanRunner.Run(model, new Plan { Rows = [Repeated], Outputs = Outputs.AllLogits });
        using var scope = NewDisposeScope();
        var predicted = run.Logits![0].argmax(-1).data<long>().ToArray();
        return Enumerable.Range(1 + Half, Half - 1).Average(i => predicted[i] == Repeated.Tokens[i + 1] ? 1.0 : 0);
    }

    private static double Score(TransformerModel model, Composition composition)
    {
        using var scores = CompositionScores.All(model, composition);
        using var scope = NewDisposeScope();
        return scores[0, 0, 1, 0].item<double>();
    }

    // Exercise 2d: the same content, but not the same position.
    private static Head EarlierCopy(Tensor value, Tensor output) => new(
        Reads(Content, Tokens, 0, 40 * Scale).Plus(Reads(Position, Positional, Tokens, -Scale)),
        Reads(Content, Tokens).Plus(Reads(Position, Positional, Tokens)), value, output);

    [Fact]
    public void Exercise_1_two_heads_move_eight_dimensions_of_which_one_went_through_both()
    {
        using var scope = NewDisposeScope();
        Tensor Selects(params int[] dimensions) => eye(16, dtype: ScalarType.Float64).index_select(1, tensor(dimensions.Select(d => (long)d).ToArray()));
        var first = new FactoredMatrix(Selects(0, 1, 2, 3), Selects(8, 9, 10, 11).t());
        var second = new FactoredMatrix(Selects(4, 5, 6, 8), Selects(12, 13, 14, 15).t());
        var through = first.Times(second);
        Assert.Equal([new MatrixEntry(0, 15, 1)], TopEntries.Of(through, 1));
        Assert.Equal(1, through.AB.sum().item<double>());
        Assert.Equal(1, through.Norm().item<double>(), 1e-12);
        Assert.Equal(8, first.AB.Plus(second.AB).sum().item<double>());
        Assert.Equal(0.25, CompositionScores.Of(first, second).item<double>(), 1e-12);
    }

    [Fact]
    public void Exercise_2_heads_find_content_themselves_their_predecessor_and_the_earlier_copy()
    {
        using var scope = NewDisposeScope();
        var none = zeros([Width, HeadWidth], ScalarType.Float64);
        var (content, position) = (Reads(Content, Tokens), Reads(Position, Positional));
        using var model = Model(
        [
            new Head(content.Times(40 * Scale), content, none, none.t()),
            new Head(position.Times(Scale), position, none, none.t()),
            new Head(Rotated(position, Position, -1).Times(Scale), position, none, none.t()),
            EarlierCopy(none, none.t()),
        ]);
        Assert.Equal(0.5, Attention(model, 0, 0, i => i - Half), 1e-9);
        Assert.Equal(0.5, Attention(model, 0, 0, i => i), 1e-9);
        Assert.Equal(1, Attention(model, 0, 1, i => i), 1e-3);
        Assert.Equal(1, Attention(model, 0, 2, i => i - 1), 1e-3);
        Assert.Equal(1, Attention(model, 0, 3, i => i - Half), 1e-3);
        // From weights alone: content is matched, a rotation has unit eigenvalues.
        var (qk, embed) = (AttentionCircuits.QK(model, 0), model.Weights.Embed);
        Assert.Equal(1, CircuitEigenvalues.Positivity(qk[0].Eigenvalues()).item<double>(), 1e-9);
        var turned = qk[2].Eigenvalues().abs().DividedBy(Scale).data<double>().ToArray();
        Assert.Equal(Positional, turned.Count(x => Math.Abs(x - 1) < 1e-9));
        // Exercise 2c's shift is a stripe below the diagonal of the positions' circuit.
        var positions = model.Weights.Positions!;
        var best = qk[2].After(positions).Times(positions.t()).AB.argmax(1).data<long>().ToArray();
        Assert.Equal(Enumerable.Range(0, Length - 1).Select(i => (long)i), best[1..]);
        Assert.Equal(embed.size(1), qk.Columns);
    }

    [Fact]
    public void Exercise_2_pointer_arithmetic_is_induction_by_query_composition()
    {
        using var scope = NewDisposeScope();
        using var model = Model(
            [EarlierCopy(Reads(Position, Positional), Writes(PositionMemory, Positional))],
            [new Head(Rotated(Reads(PositionMemory, Positional), PositionMemory, 1).Times(Scale), Reads(Position, Positional), Reads(Content, Tokens), Writes(Out, Tokens))]);
        Assert.Equal(1, Attention(model, 1, 0, i => i - Half + 1), 1e-3);
        Assert.Equal(1, Accuracy(model));
        Assert.Equal(1 / Math.Sqrt(Positional), Score(model, Composition.Q), 1e-9);
        Assert.Equal((0, 0), (Score(model, Composition.K), Score(model, Composition.V)));
    }

    [Fact]
    public void Exercise_3_shifted_keys_are_induction_by_key_composition()
    {
        using var scope = NewDisposeScope();
        using var model = Model(
            [new Head(Rotated(Reads(Position, Positional), Position, -1).Times(Scale), Reads(Position, Positional), Reads(Content, Tokens), Writes(ContentMemory, Tokens))],
            [new Head(Reads(Content, Tokens).Times(40 * Scale), Reads(ContentMemory, Tokens), Reads(Content, Tokens), Writes(Out, Tokens))]);
        Assert.Equal(1, Attention(model, 0, 0, i => i - 1), 1e-3);
        // The end of the first half precedes the second half's start: both places follow a token like the last one's.
        Assert.Equal(1, Accuracy(model));
        Assert.Equal(1 / Math.Sqrt(Tokens), Score(model, Composition.K), 1e-9);
        Assert.Equal((0, 0), (Score(model, Composition.Q), Score(model, Composition.V)));
        var baseline = CompositionBaseline.Measure(Width, HeadWidth, samples: 8);
        Assert.True(Score(model, Composition.K) > baseline.Mean + 3 * baseline.Deviation);
        // Copying: what the second head attends to, it predicts.
        using var copying = CircuitEigenvalues.CopyingScores(model);
        Assert.Equal(1, copying[1, 0].item<double>(), 1e-9);
        var outs = SkipTrigrams.Of(model, head: 0, sources: [4], top: 1);
        Assert.Equal(0, outs[0].Outs[0].Logit, 1e-9);
    }
}
