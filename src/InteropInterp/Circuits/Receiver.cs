using System.Text.RegularExpressions;
using InteropInterp.Hooks;
using InteropInterp.Models;

namespace InteropInterp.Circuits;

/// <summary>What kind of component reads the residual stream.</summary>
public enum ReceiverKind
{
    Query,
    Key,
    Value,
    Mlp,

    /// <summary>The final norm and the unembedding.</summary>
    Logits,
}

/// <summary>
/// Something that reads the residual stream: what a head's queries, keys or values are made of, what an MLP gets, what is
/// unembedded. Named as EAP-IG's graphs do: a3.h5&lt;q&gt;, m3, logits.
/// </summary>
/// <param name="Index">The head; of keys and values the key head, of which there may be fewer. 0 for others.</param>
public readonly partial record struct Receiver(ReceiverKind Kind, int Layer, int Index)
{
    public static Receiver Logits => new(ReceiverKind.Logits, int.MaxValue, 0);

    public string Name => Kind switch
    {
        ReceiverKind.Query => $"a{Layer}.h{Index}<q>",
        ReceiverKind.Key => $"a{Layer}.h{Index}<k>",
        ReceiverKind.Value => $"a{Layer}.h{Index}<v>",
        ReceiverKind.Mlp => $"m{Layer}",
        _ => "logits",
    };

    public static Receiver Query(int layer, int head) => new(ReceiverKind.Query, layer, head);

    public static Receiver Key(int layer, int keyHead) => new(ReceiverKind.Key, layer, keyHead);

    public static Receiver Value(int layer, int keyHead) => new(ReceiverKind.Value, layer, keyHead);

    public static Receiver Mlp(int layer) => new(ReceiverKind.Mlp, layer, 0);

    /// <summary>The receiver of a name.</summary>
    /// <exception cref="InterpException">UNKNOWN_RECEIVER.</exception>
    public static Receiver Parse(string name)
    {
        if (name == "logits") return Logits;
        var match = Pattern().Match(name);
        if (!match.Success)
            throw InterpException.Invalid("UNKNOWN_RECEIVER",
                $"'{name}' names no receiver; they are called a3.h5<q>, a3.h5<k>, a3.h5<v>, m3, logits.");
        int Number(int group) => int.Parse(match.Groups[group].ValueSpan);
        if (match.Groups[4].Success) return Mlp(Number(4));
        var (layer, head) = (Number(1), Number(2));
        return match.Groups[3].ValueSpan switch { "q" => Query(layer, head), "k" => Key(layer, head), _ => Value(layer, head) };
    }

    /// <summary>Refuses what the model has not.</summary>
    /// <exception cref="InterpException">LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, NO_MLP.</exception>
    public void Check(TransformerConfig config)
    {
        if (Kind == ReceiverKind.Logits) return;
        Sender.CheckLayer(Name, Layer, config);
        if (Kind == ReceiverKind.Mlp)
        {
            Sender.CheckMlp(Name, config);
            return;
        }
        var heads = Kind == ReceiverKind.Query ? config.HeadCount : config.KeyHeads;
        if (Index < 0 || Index >= heads)
            throw InterpException.OutOfRange("HEAD_OUT_OF_RANGE",
                $"'{Name}': the model has {heads} {(Kind == ReceiverKind.Query ? "" : "key ")}heads (0 to {heads - 1}).");
    }

    public override string ToString() => Name;

    /// <summary>The stream that it reads.</summary>
    internal HookPoint Stream(TransformerConfig config) => Kind switch
    {
        ReceiverKind.Logits => new(HookSite.ResidPost, config.LayerCount - 1),
        ReceiverKind.Mlp when !config.ParallelBlocks => new(HookSite.ResidMid, Layer),
        _ => new(HookSite.ResidPre, Layer),
    };

    /// <summary>In the half layers of <see cref="Sender.WrittenAt"/>.</summary>
    internal int ReadAt(TransformerConfig config) => Kind switch
    {
        ReceiverKind.Logits => 2 * config.LayerCount,
        ReceiverKind.Mlp when !config.ParallelBlocks => 2 * Layer + 1,
        _ => 2 * Layer,
    };

    [GeneratedRegex(@"^(?:a(\d{1,6})\.h(\d{1,6})<([qkv])>|m(\d{1,6}))$")]
    private static partial Regex Pattern();
}
