using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>A token and what is predicted to follow it.</summary>
/// <param name="Token">The token.</param>
/// <param name="Next">Successors, likeliest first, with log-probabilities in nats.</param>
public sealed record Bigram(int Token, IReadOnlyList<(int Token, double LogProb)> Next);

/// <summary>
/// The direct path from tokens to logits, W_E W_U through the final norm: all that a model without layers computes, and the
/// bigram statistics that the others build on (Elhage et al. 2021). From weights, some tokens at a time.
/// </summary>
public static class BigramTable
{
    private const long BlockSize = 16L << 20;

    /// <param name="tokens">Which tokens; null: the whole vocabulary.</param>
    /// <param name="top">Successors of each.</param>
    /// <param name="position">Where the token stands, if its position is to be added; null: it is left out.</param>
    /// <exception cref="InterpException">TOKEN_OUT_OF_RANGE, POSITION_OUT_OF_RANGE, INVALID_OPTION; CANCELLED.</exception>
    public static IReadOnlyList<Bigram> Of(
        TransformerModel model, IReadOnlyList<int>? tokens = null, int top = 5, int? position = null,
        CancellationToken cancellation = default)
    {
        var config = model.Config;
        tokens ??= [.. Enumerable.Range(0, config.VocabularySize)];
        foreach (var token in tokens)
            config.CheckToken(token);
        InterpException.Require(top > 0, "INVALID_OPTION", $"{top} successors are asked for; at least one is needed.");
        var table = new List<Bigram>(tokens.Count);
        foreach (var block in tokens.Chunk((int)Math.Max(1, BlockSize / config.OutputVocabularySize)))
        {
            Interrupts.Check(cancellation);
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            var stream = model.Weights.Embed.index_select(0, tensor(Array.ConvertAll(block, t => (long)t), device: model.Device));
            if (position is { } at) stream = stream.Plus(Position(model, at));
            var (values, places) = model.Unembed(stream).log_softmax(-1).topk(Math.Min(top, config.OutputVocabularySize), -1, true, true);
            var logProbs = values.to(ScalarType.Float64).cpu().data<double>().ToArray();
            var next = places.cpu().data<long>().ToArray();
            var successors = next.Zip(logProbs, (t, p) => ((int)t, p)).Chunk(next.Length / block.Length);
            table.AddRange(block.Zip(successors, (token, found) => new Bigram(token, found)));
        }
        return table;
    }

    private static Tensor Position(TransformerModel model, int position)
    {
        if (model.Weights.Positions is not { } table || model.Config.IsShortformer)
            throw InterpException.Precondition("NO_POSITIONS", "The model's residual stream holds no positions; leave the position out.");
        if (position < 0 || position >= table.size(0))
            throw InterpException.OutOfRange("POSITION_OUT_OF_RANGE", $"The position {position} is out of range: there are {table.size(0)}.");
        return table[position];
    }
}
