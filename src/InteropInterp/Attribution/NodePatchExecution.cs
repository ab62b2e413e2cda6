using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Attribution;

/// <summary>Attribution patching of nodes under way. A step is the passes of one batch of rows in one direction.</summary>
public sealed class NodePatchExecution : IStepwise<NodeAttribution>, IHasProgress
{
    private readonly TransformerModel model;
    private readonly NodePatch patch;
    private readonly CheckedPlan clean, corrupt;
    private readonly List<IReadOnlyList<int>> batches;
    private readonly HashSet<HookPoint> points = [], compared = [];
    private readonly Dictionary<HookPoint, Tensor> denoising = [], noising = [];
    private readonly IEnumerator<bool> steps;
    private int done;

    internal NodePatchExecution(TransformerModel model, NodePatch patch, ExecutionOptions options)
    {
        (this.model, this.patch) = (model, patch);
        if (patch.FixQueriesAndKeys && model.DataType == ScalarType.Float16)
            throw InterpException.Precondition("QK_FIX_FLOAT16",
                "The QK fix needs a pattern's smallest shares, which float16 rounds to zero below 6e-8; load the model in bfloat16 or float32.");
        clean = AttributionPairs.Side(model, patch.Clean, patch.Metric);
        corrupt = AttributionPairs.Side(model, patch.Corrupt, patch.Metric);
        for (var layer = 0; layer < model.Config.LayerCount; layer++) AddPoints(layer);
        batches = TapedPass.Batches(model, clean.Plan, points, options);
        steps = Steps().GetEnumerator();
    }

    /// <summary>Batches of rows done, and batches in all.</summary>
    public (int Done, int Total) Progress => (done, batches.Count);

    /// <inheritdoc/>
    public bool Advance() => steps.MoveNext();

    /// <inheritdoc/>
    public NodeAttribution TakeResult() => new()
    {
        Denoising = patch.Directions.HasFlag(PatchDirections.Denoising) ? Take(denoising) : null,
        Noising = patch.Directions.HasFlag(PatchDirections.Noising) ? Take(noising) : null,
    };

    private bool IsFixed(HookSite site) => patch.FixQueriesAndKeys && site is HookSite.Q or HookSite.K;

    private HookSite Queries => model.Config.IsRotary ? HookSite.RotQ : HookSite.Q;
    private HookSite Keys => model.Config.IsRotary ? HookSite.RotK : HookSite.K;

    private void AddPoints(int layer)
    {
        foreach (var site in patch.Sites)
        {
            if (!IsFixed(site))
            {
                points.Add(new HookPoint(site, layer));
                compared.Add(new HookPoint(site, layer));
                continue;
            }
            points.UnionWith([new(Queries, layer), new(Keys, layer), new(HookSite.Pattern, layer)]);
            compared.Add(new HookPoint(site == HookSite.Q ? Queries : Keys, layer));
        }
        if (!patch.DropGradients) return;
        points.Add(new HookPoint(HookSite.AttnOut, layer));
        if (model.Config.HasMlp) points.Add(new HookPoint(HookSite.MlpOut, layer));
    }

    private IEnumerable<bool> Steps()
    {
        foreach (var rows in batches)
        {
            if (patch.Directions == PatchDirections.Both && !patch.DropGradients && !patch.FixQueriesAndKeys)
            {
                Both(rows);
                done++;
                yield return true;
                continue;
            }
            if (patch.Directions.HasFlag(PatchDirections.Denoising)) One(corrupt, clean, rows, denoising);
            yield return true;
            if (patch.Directions.HasFlag(PatchDirections.Noising)) One(clean, corrupt, rows, noising);
            done++;
            yield return true;
        }
    }

    // A forward pass where values come from; forward and back where they would go.
    private void One(CheckedPlan here, CheckedPlan there, IReadOnlyList<int> rows, Dictionary<HookPoint, Tensor> scores)
    {
        using var kept = new TensorTable();
        TapedPass.Forward(model, there, rows, compared, kept.Keep);
        var walks = patch.DropGradients ? model.Config.LayerCount : 1;
        var held = -1;
        TapedPass.Backward(model, here, rows, points, Visit, walks: walks, walking: walk => held = walk);

        Tensor Visit(TapedHooks hooks, HookPoint point, Tensor value, Tensor gradient)
        {
            using var scope = NewDisposeScope();
            // What a held layer writes does not change.
            if (patch.DropGradients && point.Layer == held && point.Site is HookSite.AttnOut or HookSite.MlpOut)
                return zeros_like(gradient).MoveToOuterDisposeScope();
            if (point.Site == HookSite.Pattern && patch.FixQueriesAndKeys) Fix(hooks, point.Layer, value, gradient, kept, scores);
            if (patch.Sites.Contains(point.Site) && !IsFixed(point.Site)) Add(scores, point, (kept[point] - value) * gradient);
            return gradient;
        }
    }

    // Both directions need each side's values and gradients once.
    private void Both(IReadOnlyList<int> rows)
    {
        using var values = new TensorTable();
        using var gradients = new TensorTable();
        TapedPass.Backward(model, clean, rows, points, (_, point, value, gradient) =>
        {
            values.Keep(point, value);
            return gradients.Keep(point, gradient);
        });
        TapedPass.Backward(model, corrupt, rows, points, (_, point, value, gradient) =>
        {
            using var scope = NewDisposeScope();
            var difference = values[point] - value;
            Add(denoising, point, difference * gradient);
            Add(noising, point, difference.neg() * gradients[point]);
            values.Drop(point);
            gradients.Drop(point);
            return gradient;
        });
    }

    private void Fix(TapedHooks hooks, int layer, Tensor pattern, Tensor gradient, TensorTable kept, Dictionary<HookPoint, Tensor> scores)
    {
        var (queries, keys) = (new HookPoint(Queries, layer), new HookPoint(Keys, layer));
        var exact = new QueryKeyFix(model.Config, layer, pattern, gradient, hooks[queries], hooks[keys]);
        if (patch.Sites.Contains(HookSite.Q)) AddPerNode(scores, new HookPoint(HookSite.Q, layer),
            exact.Queries(kept[queries]).to(model.DataType));
        if (patch.Sites.Contains(HookSite.K)) AddPerNode(scores, new HookPoint(HookSite.K, layer),
            exact.Keys(kept[keys]).to(model.DataType));
    }

    // Neurons and entries of a pattern are nodes of their own; widths are summed over.
    private void Add(Dictionary<HookPoint, Tensor> scores, HookPoint point, Tensor products) => AddPerNode(
        scores, point, point.Info.Axes[^1] is HookAxis.MlpWidth or HookAxis.KeyPosition ? products : products.sum(-1));

    /// <param name="each">[rows, nodes ...].</param>
    private void AddPerNode(Dictionary<HookPoint, Tensor> scores, HookPoint point, Tensor each)
    {
        if (patch.DropGradients) each = each.abs().DividedBy(model.Config.LayerCount - 1);
        var sum = each.sum([0]);
        if (scores.TryGetValue(point, out var before)) before.PlusInPlace(sum);
        else scores[point] = sum.DetachFromDisposeScope();
    }

    private Dictionary<HookSite, Tensor> Take(Dictionary<HookPoint, Tensor> scores)
    {
        using var scope = NewDisposeScope();
        return patch.Sites.ToDictionary(
            site => site,
            site => stack([.. Enumerable.Range(0, model.Config.LayerCount).Select(layer =>
                scores[new HookPoint(site, layer)])]).DetachFromDisposeScope());
    }

    public void Dispose()
    {
        steps.Dispose();
        foreach (var tensor in denoising.Values.Concat(noising.Values)) tensor.Dispose();
    }
}
