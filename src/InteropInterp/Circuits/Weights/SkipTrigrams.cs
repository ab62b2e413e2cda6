using InteropInterp.Models;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>What a head does with a source token: [source] ... [destination] -> [out].</summary>
/// <param name="Source">The token that is attended to.</param>
/// <param name="Destinations">
/// Tokens that attend to it most, most first, with x_q QK x_kᵀ, scaled as scores are, less its mean over all source tokens: only
/// within one destination do scores compare, and their mean does nothing.
/// </param>
/// <param name="Outs">Tokens that it makes likelier, most first, with their logits less the mean logit.</param>
public sealed record SkipTrigram(
    int Source, IReadOnlyList<(int Token, double Score)> Destinations, IReadOnlyList<(int Token, double Logit)> Outs);

/// <summary>
/// Tables of skip-trigrams of a head, from its QK and OV circuits (Elhage et al. 2021): all that a one-layer model knows beside
/// bigrams, and what heads of the first layer know in any. Positions and norms are left out. Logits are products f(source,
/// destination) g(source, out), so any destination goes with any out of the same source.
/// </summary>
public static class SkipTrigrams
{
    /// <param name="sources">Which source tokens; null: those of the strongest OV entries, strongest first.</param>
    /// <param name="top">Destinations and outs of each; where no source is named also how many sources.</param>
    /// <exception cref="InterpException">NO_LAYERS, HEAD_OUT_OF_RANGE, TOKEN_OUT_OF_RANGE, INVALID_OPTION; CANCELLED.</exception>
    public static IReadOnlyList<SkipTrigram> Of(
        TransformerModel model, int head, IReadOnlyList<int>? sources = null, int top = 5, CancellationToken cancellation = default)
    {
        Check(model, head, sources, top);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var embed = model.Weights.Embed;
        var unembed = model.Weights.Unembed - model.Weights.Unembed.mean([0], keepdim: true);
        var ov = AttentionCircuits.OV(model, 0)[head].After(embed).Times(unembed.t());
        sources ??= Strongest(ov, top, cancellation);
        var rows = tensor(sources.Select(s => (long)s).ToArray(), device: model.Device);
        var outs = TopEntries.OfRows(new FactoredMatrix(ov.A.index_select(0, rows), ov.B), top, cancellation);

        // Rows are sources here: (W_E - mean) QKᵀ W_Eᵀ, scaled as scores are.
        var keys = embed.index_select(0, rows) - embed.mean([0], keepdim: true);
        var qk = AttentionCircuits.QK(model, 0)[head].T.After(keys).Times(embed.t()).Times(1 / model.Config.ScoreDivisor(0));
        var destinations = TopEntries.OfRows(qk, top, cancellation);
        return [.. sources.Select((source, i) => new SkipTrigram(source, Pairs(destinations, i), Pairs(outs, i)))];
    }

    private static IReadOnlyList<int> Strongest(FactoredMatrix ov, int count, CancellationToken cancellation)
    {
        var best = TopEntries.OfRows(ov, 1, cancellation).Values.flatten();
        var places = best.topk((int)Math.Min(count, best.size(0)), 0, true, true).indexes;
        return [.. places.cpu().data<long>().ToArray().Select(row => (int)row)];
    }

    private static IReadOnlyList<(int Token, double Value)> Pairs((Tensor Columns, Tensor Values) table, int row)
    {
        var tokens = table.Columns[row].cpu().data<long>().ToArray();
        return [.. tokens.Zip(table.Values[row].to(ScalarType.Float64).cpu().data<double>().ToArray(), (t, v) => ((int)t, v))];
    }

    private static void Check(TransformerModel model, int head, IReadOnlyList<int>? sources, int top)
    {
        var config = model.Config;
        InterpException.Require(config.LayerCount > 0, "NO_LAYERS", "The model has no blocks, and so no heads.");
        config.CheckHead(head);
        foreach (var token in sources ?? []) config.CheckToken(token);
        InterpException.Require(top > 0, "INVALID_OPTION", $"{top} entries are asked for; at least one is needed.");
    }
}
