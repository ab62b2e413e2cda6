using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;

namespace InteropInterp.Dictionaries.Interventions;

/// <summary>An intervention with a dictionary, which is borrowed until the run has ended.</summary>
public abstract record DictionaryOp(SparseDictionary Dictionary) : InterventionOp
{
    /// <summary>Refuses a region that is no activation of the dictionary: too narrow, too wide, or some of its heads.</summary>
    public override void Check(OpTarget target) => CheckActivation(Dictionary, $"{Name} at '{target.Point.Name}'", target.Shape);

    internal static void CheckActivation(SparseDictionary dictionary, string what, IReadOnlyList<long> shape)
    {
        var config = dictionary.Config;
        var fits = config.JoinsHeads ? shape.Count == 4 && shape[^2] * shape[^1] == config.InputWidth : shape[^1] == config.InputWidth;
        InterpException.Require(fits, "DICTIONARY_INPUT",
            $"{what}: the activation is [{string.Join(", ", shape.Select(s => s == -1 ? "..." : s.ToString()))}]; the dictionary reads "
            + (config.JoinsHeads ? "all heads of [rows, positions, heads, d_head] with heads · d_head" : "a last axis of d_in")
            + $" = {config.InputWidth}"
            + (config.HookName is { } hook ? $" and was trained on '{hook}'." : "."));
    }

    /// <summary>Encoding, and the dense codes beside what makes them.</summary>
    internal static PositionCost EncodingCost(SparseDictionary dictionary) =>
        new(2.0 * dictionary.Config.InputWidth * dictionary.Config.Width, 3L * dictionary.Config.Width);
}
