using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Lenses;

/// <summary>
/// What the model would predict if its residual stream were unembedded early (nostalgebraist 2020), or first translated
/// (<see cref="TunedLens"/>). The run unembeds nothing; logits of all streams are made for a few positions at a time, and only
/// what was asked for is kept of them.
/// </summary>
public static class LogitLens
{
    /// <param name="plan">Rows, and interventions if any; its captures and outputs are not used.</param>
    /// <exception cref="InterpException">LENS_PLAN, LENS_TOKENS, LENS_MODEL, POSITIONS_RAGGED, TOKEN_OUT_OF_RANGE; CANCELLED; what the
    /// plan is refused for.</exception>
    public static LensResult Run(
        TransformerModel model, Plan plan, LensOptions? options = null, ExecutionOptions? execution = null,
        CancellationToken cancellation = default)
    {
        options ??= new LensOptions();
        InterpException.Require(options.Tuned is null || !options.IncludeMiddle, "LENS_STREAMS",
            "A tuned lens has no translators for streams between attention and MLP.");
        options.Tuned?.CheckFits(model);
        var lease = DeviceLeases.Of(model.Device);
        using var holding = lease.Acquire(cancellation);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var streams = LensStreams.Of(model.Config, options.IncludeMiddle);
        var captured = LensStreams.Capture(model, plan, streams.Select(s => s.Point), options.Positions, execution, cancellation);
        long count = captured.size(0), rows = captured.size(1), positions = captured.size(2);
        if (options.Tuned is { } tuned)
            for (var l = 0; l < count - 1; l++) captured[l] = tuned.Translate(l, captured[l]);

        var flat = captured.view(count, rows * positions, -1);
        var tokens = Targets(options, model.Config, rows, positions, model.Device);
        using var readings = new LensReadings(model, options);
        // Log-probabilities, probabilities and comparisons are as large as the logits.
        var bytes = count * model.Config.OutputVocabularySize * 4 * captured.element_size();
        var step = Math.Clamp(options.WorkingBytes / bytes, 1, rows * positions);
        for (var start = 0L; start < rows * positions; start += step)
        {
            if (start > 0) lease.Offer(cancellation);
            var length = Math.Min(step, rows * positions - start);
            readings.Read(flat.narrow(1, start, length), tokens?.narrow(0, start, length));
        }
        return readings.Finish([.. streams.Select(s => s.Label)], rows, positions);
    }

    // [rows · positions, tokens] int64; null where none are asked for.
    private static Tensor? Targets(LensOptions options, TransformerConfig config, long rows, long positions, Device device)
    {
        var lists = options.Tokens;
        if (lists.Count == 0) return null;
        InterpException.Require(lists.Count == 1 || lists.Count == rows, "LENS_TOKENS",
            $"Tokens are given for {lists.Count} rows; the plan has {rows} (one list for all, or one per row, is expected).");
        InterpException.Require(lists.All(l => l.Count == lists[0].Count && l.Count > 0), "LENS_TOKENS",
            "Every row must name the same number of tokens, at least one.");
        foreach (var token in lists.SelectMany(l => l))
            config.CheckPredicted(token);
        var ids = tensor(lists.SelectMany(l => l).Select(t => (long)t).ToArray(), [lists.Count, 1, lists[0].Count], device: device);
        return ids.expand(rows, positions, -1).reshape(rows * positions, -1);
    }
}
