using System.Text.RegularExpressions;
using InteropInterp.Hooks;
using InteropInterp.Models;

namespace InteropInterp.Circuits;

/// <summary>What kind of component writes into the residual stream.</summary>
public enum SenderKind
{
    /// <summary>The embedding, positions included: resid_pre of layer 0.</summary>
    Input,
    Head,
    Mlp,

    /// <summary>The residual stream itself as it enters a layer: everything that was written before.</summary>
    ResidPre,
}

/// <summary>Something that writes into the residual stream. Named as EAP-IG's graphs do: input, a3.h5, m3; and resid_pre3.</summary>
/// <param name="Index">The head; 0 for others.</param>
public readonly partial record struct Sender(SenderKind Kind, int Layer, int Index)
{
    public static Sender Input => new(SenderKind.Input, 0, 0);

    public string Name => Kind switch
    {
        SenderKind.Input => "input",
        SenderKind.Head => $"a{Layer}.h{Index}",
        SenderKind.Mlp => $"m{Layer}",
        _ => $"resid_pre{Layer}",
    };

    public static Sender Head(int layer, int head) => new(SenderKind.Head, layer, head);

    public static Sender Mlp(int layer) => new(SenderKind.Mlp, layer, 0);

    public static Sender ResidPre(int layer) => new(SenderKind.ResidPre, layer, 0);

    /// <summary>The sender of a name.</summary>
    /// <exception cref="InterpException">UNKNOWN_SENDER.</exception>
    public static Sender Parse(string name)
    {
        if (name == "input") return Input;
        var match = Pattern().Match(name);
        if (!match.Success)
            throw InterpException.Invalid("UNKNOWN_SENDER",
                $"'{name}' names no sender; they are called input, a3.h5 (layer 3, head 5), m3, resid_pre3.");
        int Number(int group) => int.Parse(match.Groups[group].ValueSpan);
        return match.Groups[1].Success ? Head(Number(1), Number(2)) : match.Groups[3].Success ? Mlp(Number(3)) : ResidPre(Number(4));
    }

    /// <summary>Whether it writes before the receiver reads.</summary>
    public bool Reaches(Receiver receiver, TransformerConfig config) => WrittenAt(config) <= receiver.ReadAt(config);

    /// <summary>Refuses what the model has not.</summary>
    /// <exception cref="InterpException">LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, NO_MLP.</exception>
    public void Check(TransformerConfig config)
    {
        CheckLayer(Name, Layer, config);
        if (Kind == SenderKind.Head && (Index < 0 || Index >= config.HeadCount))
            throw InterpException.OutOfRange("HEAD_OUT_OF_RANGE",
                $"'{Name}': the model has {config.HeadCount} heads (0 to {config.HeadCount - 1}).");
        if (Kind == SenderKind.Mlp) CheckMlp(Name, config);
    }

    public override string ToString() => Name;

    /// <summary>Where its output stands: z of a head, whose output is z W_O.</summary>
    internal HookPoint Point => Kind switch
    {
        SenderKind.Head => new(HookSite.Z, Layer),
        SenderKind.Mlp => new(HookSite.MlpOut, Layer),
        _ => new(HookSite.ResidPre, Layer),
    };

    // Time runs in half layers: 2l as layer l is entered, 2l + 1 between attention and MLP, which parallel blocks do not have.
    internal int WrittenAt(TransformerConfig config) => Kind switch
    {
        SenderKind.Head => 2 * Layer + (config.ParallelBlocks ? 2 : 1),
        SenderKind.Mlp => 2 * Layer + 2,
        _ => 2 * Layer,
    };

    internal static void CheckLayer(string name, int layer, TransformerConfig config)
    {
        if (layer < 0 || layer >= config.LayerCount)
            throw InterpException.OutOfRange("LAYER_OUT_OF_RANGE",
                $"'{name}': the model has {config.LayerCount} layers (0 to {config.LayerCount - 1}).");
    }

    internal static void CheckMlp(string name, TransformerConfig config)
    {
        if (config.AttentionOnly) throw InterpException.Precondition("NO_MLP", $"'{name}': the model has attention only.");
    }

    [GeneratedRegex(@"^(?:a(\d{1,6})\.h(\d{1,6})|m(\d{1,6})|resid_pre(\d{1,6}))$")]
    private static partial Regex Pattern();
}
