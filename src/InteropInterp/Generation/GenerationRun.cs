using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Generation;

/// <summary>A batch of rows being continued, one token a step. Step 0 runs the prompt; hooks fire in every step.</summary>
internal sealed class GenerationRun : IDisposable
{
    private readonly TransformerModel model;
    private readonly CheckedPlan plan;
    private readonly GenerationOptions options;
    private readonly IReadOnlyList<int> rows;
    private readonly List<int>[] tokens;
    private readonly int[] offsets;
    private readonly bool[] finished;
    private readonly int prompt;
    private readonly KeyValueCache? cache;
    private readonly Func<BatchGeometry, GradientTape?, IActivationHooks> makeHooks;
    private IActivationHooks? hooks;
    private int step;

    public GenerationRun(
        TransformerModel model, CheckedPlan plan, IReadOnlyList<int> rows, Func<BatchGeometry, GradientTape?, IActivationHooks> makeHooks)
    {
        this.model = model;
        this.plan = plan;
        this.rows = rows;
        this.makeHooks = makeHooks;
        options = plan.Plan.Generation!;
        tokens = [.. rows.Select(r => plan.Plan.Rows[r].Tokens.ToList())];
        prompt = tokens.Max(t => t.Count);
        // New tokens go behind, so shorter rows are padded in front whatever the plan says.
        offsets = [.. tokens.Select(t => prompt - t.Count)];
        finished = new bool[rows.Count];
        if (!options.UseCache) return;
        var heads = plan.Plan.Flags.UngroupGroupedQueryAttention ? model.Config.HeadCount : model.Config.KeyHeads;
        cache = new KeyValueCache(model.Config, rows.Count, heads, prompt + options.MaxNewTokens, model.DataType, model.Device);
    }

    /// <summary>Prompt and new tokens of each row.</summary>
    public IEnumerable<IReadOnlyList<int>> Rows => tokens;

    /// <summary>What the last step appended, per row.</summary>
    public IReadOnlyList<int> NewTokens => [.. tokens.Select(t => t[^1])];

    /// <summary>Adds a token to every row; false when all are done.</summary>
    public bool Step()
    {
        if (step == options.MaxNewTokens || (step > 0 && finished.All(f => f))) return false;
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var length = prompt + step;
        // With a cache only the newest token is new.
        var past = cache is null || step == 0 ? 0 : length - 1;
        var geometry = new BatchGeometry(rows, length - past, past, offsets, [.. tokens.Select(t => t.Count)], step);
        if (hooks is HookTable table) table.Next(geometry);
        hooks ??= makeHooks(geometry, null);

        using var layout = new RectangularLayout(model.Config, rows.Count, length - past, Mask(length), cache, model.Device);
        var pass = new ForwardPass(model, plan.Plan.Flags, hooks, layout);
        var residual = pass.Blocks(pass.Embed(Tokens(past, length)), 0, model.Config.LayerCount);
        // Somebody who looks behind the blocks sees every position of the pass.
        var last = plan.Logits == LogitsNeed.All
            ? pass.Unembed(residual).narrow(1, length - past - 1, 1)
            : pass.Unembed(residual.narrow(1, length - past - 1, 1));
        Append(Sampler.Next(last.squeeze(1), options, tokens, rows, step, plan.Plan.Seed));
        step++;
        return true;
    }

    private void Append(int[] next)
    {
        for (var i = 0; i < next.Length; i++)
        {
            // A finished row keeps giving its stop token until all rows are done, as TransformerLens has it.
            tokens[i].Add(finished[i] ? options.StopTokens[0] : next[i]);
            finished[i] |= options.StopTokens.Contains(next[i]);
        }
    }

    private Tensor Tokens(int past, int length)
    {
        var ids = new long[rows.Count * (length - past)];
        for (var i = 0; i < rows.Count; i++)
            for (var p = past; p < length; p++)
                if (p >= offsets[i]) ids[i * (length - past) + p - past] = tokens[i][p - offsets[i]];
        return tensor(ids, [rows.Count, length - past], device: model.Device);
    }

    private Tensor? Mask(int length)
    {
        var given = rows.Select(r => plan.Plan.Rows[r].Mask).ToList();
        if (offsets.All(o => o == 0) && given.All(m => m is null)) return null;
        var real = new bool[rows.Count * length];
        for (var i = 0; i < rows.Count; i++)
            for (var p = offsets[i]; p < length; p++)
            {
                var own = p - offsets[i];
                real[i * length + p] = given[i] is not { } mask || own >= mask.Count || mask[own];
            }
        return tensor(real, [rows.Count, length], device: model.Device);
    }

    public void Dispose() => cache?.Dispose();
}
