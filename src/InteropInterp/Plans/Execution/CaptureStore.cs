using InteropInterp.Plans.Checking;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Execution;

/// <summary>What a run keeps: pieces per batch and step, put together at the end.</summary>
internal sealed class CaptureStore : IDisposable
{
    private readonly Dictionary<string, List<Tensor>> pieces = [];
    private readonly HashSet<IntPtr> addresses = [];

    // Batch and step of each piece of a name, so that pieces of one batch are joined along positions, batches along rows.
    private readonly Dictionary<string, List<int>> batchOfPiece = [];
    private int currentBatch;

    /// <summary>Whether later in-place edits must be kept away from what is stored; callbacks may edit in place.</summary>
    public bool Holds(Tensor value) => addresses.Contains(Native.Interop.Blob.Address(value));

    public void BeginBatch(int index) => currentBatch = index;

    /// <summary>Keeps the selected part of an activation: a reference where it is everything, else a copy.</summary>
    public void Keep(CheckedCapture capture, Tensor value, CheckedPlan plan, BatchGeometry batch, Device device)
    {
        if (!capture.Capture.Where.HoldsAt(batch.Step)) return;
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var kept = CapturedPart.Of(plan, capture, value.detach(), batch, device);
        if (kept is null) return;
        if (capture.Capture.Transform is { } transform) kept = transform.Apply(kept);
        // A view of something larger would keep all of it.
        kept = kept.contiguous().DetachFromDisposeScope();
        addresses.Add(Native.Interop.Blob.Address(kept));
        if (!pieces.TryGetValue(capture.Name, out var list))
        {
            pieces[capture.Name] = list = [];
            batchOfPiece[capture.Name] = [];
        }
        var batches = batchOfPiece[capture.Name];
        // A point that fires several times in a pass (a norm before split inputs) keeps the last value.
        if (list.Count > 0 && batches[^1] == currentBatch && plan.Plan.Generation is null)
        {
            list[^1].Dispose();
            list[^1] = kept;
            return;
        }
        list.Add(kept);
        batches.Add(currentBatch);
    }

    /// <summary>Joins the pieces; the caller owns the tensors.</summary>
    public Dictionary<string, Tensor> Take()
    {
        var result = new Dictionary<string, Tensor>();
        foreach (var (name, list) in pieces)
        {
            if (list.Count == 1)
            {
                result[name] = list[0];
                continue;
            }
            using var scope = NewDisposeScope();
            var batches = list.Zip(batchOfPiece[name]).GroupBy(x => x.Second, x => x.First)
                .Select(g => g.Count() == 1 ? g.First() : cat([.. g], 1)).ToList();
            result[name] = (batches.Count == 1 ? batches[0] : cat(batches, 0)).DetachFromDisposeScope();
            foreach (var piece in list) piece.Dispose();
        }
        pieces.Clear();
        return result;
    }

    public void Dispose()
    {
        foreach (var tensor in pieces.Values.SelectMany(list => list)) tensor.Dispose();
        pieces.Clear();
    }
}
