using System.Globalization;
using System.IO.Hashing;
using System.Text;
using InteropInterp.Models;
using InteropInterp.Training;
using static TorchSharp.torch;

namespace InteropInterp.Streams;

/// <summary>Where a stream stands.</summary>
internal readonly record struct StreamPlace(long Rows, long Tokens);

/// <summary>
/// A stream as it stood after a batch, in one safetensors file that appears whole or not at all: what its statistics know, and where
/// it was. What goes on from there ends as if it had not been broken off, to the last bit.
/// </summary>
internal static class StreamCheckpoint
{
    private const string Kind = "stream";

    /// <summary>What must be the same for a stream to go on: all but where it ends.</summary>
    public static string Identity(TransformerModel model, StreamPlan plan, IReadOnlyList<CheckedProbe> probes) => string.Join('\n',
    [
        $"model {Fingerprint(model)}",
        $"source {plan.Source.Identity}",
        $"flags {plan.Flags}",
        $"counted from {plan.SkipFirst}, without {string.Join(' ', plan.IgnoredTokens.Order())}",
        $"batches of {plan.BatchTokens}",
        .. probes.Select(p => $"probe {p.Shape.Name} [{string.Join(", ", p.Shape.Unit)}] at {p.Point.Name} of heads {p.Probe.Where.Heads}, "
            + $"last {p.Probe.Where.Last}, {p.Probe.Transform?.Identity()}: {string.Join(", ", p.Probe.Statistics.Select(Text))}"),
    ]);

    public static void Save(string path, string identity, StreamPlace place, IEnumerable<KeyValuePair<string, Tensor>> state) =>
        Checkpoint.Save(path, Kind, place.Rows, $"{place.Tokens}\n{identity}", state);

    /// <summary>Copies what it holds into a stream's state.</summary>
    /// <exception cref="InterpException">CHECKPOINT_INVALID; CHECKPOINT_OF_OTHER_STREAM, naming what differs.</exception>
    public static StreamPlace Load(string path, string identity, IEnumerable<KeyValuePair<string, Tensor>> state)
    {
        using var file = Checkpoint.Open(path, Kind);
        var (first, rest) = file.Settings.Split('\n', 2) is [var a, var b] ? (a, b) : ("", "");
        if (!long.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out var tokens))
            throw InterpException.DataLoss("CHECKPOINT_INVALID", $"'{path}' does not say how many tokens it has counted.");
        if (rest != identity)
        {
            var (ours, theirs) = identity.Split('\n').Zip(rest.Split('\n')).FirstOrDefault(l => l.First != l.Second);
            throw InterpException.Precondition("CHECKPOINT_OF_OTHER_STREAM",
                $"'{path}' is of another stream: {(theirs is null ? "it has other probes" : $"it has '{theirs}', this one '{ours}'")}. "
                + "Name another file, or remove it to begin anew.");
        }
        file.CopyInto(state);
        return new StreamPlace(file.Step, tokens);
    }

    // Records do not spell out their lists.
    private static string Text(Statistics.Statistic statistic) => statistic is Statistics.Histogram histogram
        ? $"histogram {string.Join(' ', histogram.Edges.Select(e => e.ToString("R", CultureInfo.InvariantCulture)))}"
        : statistic.ToString();

    // Config, and the sum of each weight to the last bit.
    private static string Fingerprint(TransformerModel model)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var hash = new XxHash128();
        hash.Append(Encoding.UTF8.GetBytes($"{TransformerConfigJson.Write(model.Config)} {model.DataType}"));
        foreach (var name in model.StateDict.Names)
        {
            using var inner = NewDisposeScope();
            hash.Append(BitConverter.GetBytes(model.StateDict[name].sum(ScalarType.Float64).item<double>()));
        }
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }
}
