using InteropInterp.Circuits;
using InteropInterp.Patching;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Studies.IndirectObjects;

/// <summary>
/// What components write on average over a prompt's sentence with other names: what mean ablation puts in their place (Wang et al.
/// 2022: means are taken sentence by sentence, so that a component still knows which sentence it is in).
/// </summary>
internal sealed class SentenceMeans : IDisposable
{
    private readonly Dictionary<string, Tensor> means = [];

    public SentenceMeans(HookedTransformer model, IndirectObjectPrompts prompts, ResidualGraph graph, CancellationToken cancellation)
    {
        var points = graph.Senders.Select(s => s.Point.Name).Distinct().ToList();
        using var scope = NewDisposeScope();
        var bySentence = points.ToDictionary(p => p, _ => new List<Tensor>());
        foreach (var references in prompts.References)
        {
            using var run = model.Run(new Plan { Rows = references, Captures = [.. points.Select(p => new Capture(p))] }, cancellation);
            foreach (var point in points) bySentence[point].Add(run[point].mean([0], keepdim: true));
        }
        var rows = tensor(prompts.Sentence.Select(s => (long)s).ToArray(), device: model.Model.Device);
        foreach (var point in points) means[point] = cat([.. bySentence[point]], 0).index_select(0, rows).DetachFromDisposeScope();
    }

    /// <summary>Borrowed: [rows, pos, ...] by hook point.</summary>
    public SweepFromCache Source => new(means);

    public void Dispose()
    {
        foreach (var tensor in means.Values) tensor.Dispose();
    }
}
