using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;

namespace InteropInterp.Tests.Models;

public class PerHeadMemoryTests
{
    // A head's matrix written out for each of 512 positions would be 67 MB, and of all heads half a gigabyte.
    [Fact]
    public void Inputs_and_results_per_head_need_memory_for_activations_alone()
    {
        using var model = HookedTransformer.FromConfig(new TransformerConfig
        {
            LayerCount = 1, ModelWidth = 512, HeadCount = 8, HeadWidth = 64, ContextLength = 64, VocabularySize = 50, AttentionOnly = true,
        });
        Plan Rows(int count) => new()
        {
            Rows = [.. Enumerable.Range(0, count).Select(_ => new Row([.. Enumerable.Range(0, 64).Select(i => i % 50)]))],
            Flags = new ModelFlags { UseSplitQkvInput = true, UseAttnResult = true },
        };
        model.Run(Rows(1)).Dispose();
        var before = PeakMemory.Reset();
        model.Run(Rows(8)).Dispose();
        Assert.InRange(PeakMemory.Read() - before, 0, 300_000_000);
    }
}
