using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;

namespace InteropInterp.Dictionaries.Interventions;

/// <summary>Plan parts at the hook point (and the head) a dictionary was trained on.</summary>
public static class DictionaryHook
{
    /// <summary>An intervention there.</summary>
    /// <exception cref="InterpException">NO_HOOK_NAME.</exception>
    public static Intervention At(DictionaryOp op, Selector? where = null) =>
        new(op.Dictionary.HookName, op) { Where = Within(op.Dictionary, where) };

    /// <summary>A capture there.</summary>
    /// <exception cref="InterpException">NO_HOOK_NAME.</exception>
    public static Capture At(Captures.DictionaryCapture capture, Selector? where = null) =>
        new(capture.Dictionary.HookName) { Transform = capture, Where = Within(capture.Dictionary, where) };

    private static Selector Within(SparseDictionary dictionary, Selector? where)
    {
        where ??= Selector.All;
        return dictionary.Config.HookHeadIndex is { } head && where.Heads.IsAll ? where with { Heads = Positions.At(head) } : where;
    }
}
