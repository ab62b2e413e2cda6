using InteropInterp;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;

using var model = HookedTransformer.FromPretrained("induction"); // ships with the engine
var clean = new Plan { Rows = model.ToRows("k7x9q2w4;mj3k7x9q2w") }; // what follows is what followed before: 4
var corrupt = new Plan { Rows = model.ToRows("k7x9q2w5;mj3k7x9q2w") }; // 5
var fourOverFive = new LogitDiff([model.Tokenizer.ToSingleToken("4")], [model.Tokenizer.ToSingleToken("5")]);
var sweep = model.Sweep(new Sweep
{
    Base = corrupt, Source = new SweepFromRun(clean), Grid = SweepGrid.Of("attn_head_out_all_pos"), Metric = fourOverFive,
});
Console.WriteLine($"4 over 5 where the text says 5: {sweep.Baseline:F1}. With one head's output from the text that says 4:");
for (var layer = 0; layer < model.Config.LayerCount; layer++)
    Console.WriteLine($"layer {layer}: {string.Join("  ", Enumerable.Range(0, model.Config.HeadCount).Select(head => $"{sweep[layer, head]:F1}"))}");
