using InteropInterp.Models;

namespace InteropInterp.Circuits;

/// <summary>
/// Who may write to whom in a model's residual stream: the embedding, heads and MLPs to queries, keys and values, MLPs and
/// logits (the graph of ACDC and of edge attribution patching). Senders stand in the order in which they write, so those that
/// reach a receiver are the first so many.
/// </summary>
public sealed class ResidualGraph
{
    private readonly Dictionary<Sender, int> senderIndices;
    private readonly Dictionary<Receiver, int> receiverIndices;
    private readonly int[] reaching;

    public ResidualGraph(TransformerConfig config)
    {
        Config = config;
        var layers = Enumerable.Range(0, config.LayerCount);
        IEnumerable<T> Each<T>(int count, Func<int, T> make) => Enumerable.Range(0, count).Select(make);
        Senders = [Sender.Input, .. layers.SelectMany(l =>
            Each(config.HeadCount, h => Sender.Head(l, h)).Concat(Each(config.HasMlp ? 1 : 0, _ => Sender.Mlp(l))))];
        Receivers =
        [
            .. layers.SelectMany(l => Each(config.HeadCount, h =>
                Receiver.Query(l, h)).Concat(Each(config.KeyHeads, h => Receiver.Key(l, h)))
                .Concat(Each(config.KeyHeads, h => Receiver.Value(l, h))).Concat(Each(config.HasMlp ? 1 : 0, _ => Receiver.Mlp(l)))),
            Receiver.Logits,
        ];
        senderIndices = Senders.Select((s, i) => (s, i)).ToDictionary(x => x.s, x => x.i);
        receiverIndices = Receivers.Select((r, i) => (r, i)).ToDictionary(x => x.r, x => x.i);
        reaching = [.. Receivers.Select(r => Senders.Count(s => s.Reaches(r, config)))];
    }

    public TransformerConfig Config { get; }

    /// <summary>In the order in which they write.</summary>
    public IReadOnlyList<Sender> Senders { get; }

    /// <summary>In the order in which they read; logits last.</summary>
    public IReadOnlyList<Receiver> Receivers { get; }

    public int EdgeCount => reaching.Sum();

    /// <summary>How many senders reach a receiver: the first so many.</summary>
    public int Reaching(int receiver) => reaching[receiver];

    public bool HasEdge(int sender, int receiver) => sender < reaching[receiver];

    /// <exception cref="InterpException">UNKNOWN_SENDER where the model has no such.</exception>
    public int IndexOf(Sender sender) => senderIndices.TryGetValue(sender, out var index)
        ? index
        : throw InterpException.Unknown("UNKNOWN_SENDER", "sender", sender.Name, Senders.Select(s => s.Name));

    /// <exception cref="InterpException">UNKNOWN_RECEIVER where the model has no such.</exception>
    public int IndexOf(Receiver receiver) => receiverIndices.TryGetValue(receiver, out var index)
        ? index
        : throw InterpException.Unknown("UNKNOWN_RECEIVER", "receiver", receiver.Name, Receivers.Select(r => r.Name));

    /// <summary>The edge of a name: a0.h1->a2.h3&lt;q&gt;, input->m0, m3->logits.</summary>
    /// <exception cref="InterpException">UNKNOWN_EDGE, UNKNOWN_SENDER, UNKNOWN_RECEIVER, NO_PATH.</exception>
    public (int Sender, int Receiver) ParseEdge(string name)
    {
        var ends = name.Split("->");
        InterpException.Require(ends.Length == 2, "UNKNOWN_EDGE",
            $"'{name}' names no edge; they are called a0.h1->a2.h3<q>, input->m0, m3->logits.");
        var (sender, receiver) = (IndexOf(Sender.Parse(ends[0])), IndexOf(Receiver.Parse(ends[1])));
        InterpException.Require(HasEdge(sender, receiver), "NO_PATH", $"'{name}': the receiver reads before the sender writes.");
        return (sender, receiver);
    }

    /// <summary>An edge's name.</summary>
    public string NameOf(int sender, int receiver) => $"{Senders[sender]}->{Receivers[receiver]}";

    /// <summary>The senders whose output a receiver's input goes into: a head of its queries; all that share a key head; an MLP; none of
    /// logits.</summary>
    public IEnumerable<int> Feeds(int receiver)
    {
        var node = Receivers[receiver];
        var share = Config.HeadCount / Config.KeyHeads;
        return node.Kind switch
        {
            ReceiverKind.Logits => [],
            ReceiverKind.Mlp => [IndexOf(Sender.Mlp(node.Layer))],
            ReceiverKind.Query => [IndexOf(Sender.Head(node.Layer, node.Index))],
            _ => Enumerable.Range(node.Index * share, share).Select(h => IndexOf(Sender.Head(node.Layer, h))),
        };
    }
}
