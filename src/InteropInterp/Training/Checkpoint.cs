using System.Globalization;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Training;

/// <summary>
/// A run as it stood after a step, in one safetensors file: its tensors (weights, moments, curve), its settings, its step. Draws
/// are keyed by seed and step, so there is no random state to keep. The file appears whole or not at all.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    private const string Format = "1";
    private readonly ITensorSource source;

    private Checkpoint(string path, ITensorSource source, string settings, long step)
    {
        Path = path;
        this.source = source;
        Settings = settings;
        Step = step;
    }

    public string Path { get; }

    /// <summary>The trainer's settings, as it wrote them.</summary>
    public string Settings { get; }

    /// <summary>Steps that were done.</summary>
    public long Step { get; }

    /// <param name="trainer">What kind of run it is: only such a trainer opens it again.</param>
    /// <param name="tensors">Borrowed.</param>
    /// <exception cref="InterpException">FILE_NOT_WRITABLE.</exception>
    public static void Save(string path, string trainer, long step, string settings, IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        using var mode = no_grad();
        SafeTensors.Save(path, tensors, new Dictionary<string, string>
        {
            ["checkpoint"] = Format,
            ["trainer"] = trainer,
            ["step"] = step.ToString(CultureInfo.InvariantCulture),
            ["settings"] = settings,
        });
    }

    /// <exception cref="InterpException">CHECKPOINT_INVALID: not a checkpoint, or another trainer's; those of opening a file.</exception>
    public static Checkpoint Open(string path, string trainer)
    {
        var source = SafeTensorsFile.Open(path);
        try
        {
            var notes = source.Metadata;
            if (notes.GetValueOrDefault("checkpoint") != Format || !notes.TryGetValue("settings", out var settings)
                || !long.TryParse(notes.GetValueOrDefault("step"), NumberStyles.None, CultureInfo.InvariantCulture, out var step))
                throw InterpException.DataLoss("CHECKPOINT_INVALID", $"'{path}' is no checkpoint of a training run.");
            if (notes.GetValueOrDefault("trainer") is var kind && kind != trainer)
                throw InterpException.DataLoss("CHECKPOINT_INVALID",
                    $"'{path}' is a checkpoint of '{kind}'; one of '{trainer}' was expected.");
            return new Checkpoint(path, source, settings, step);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Copies tensors of the file into those of a run.</summary>
    /// <param name="targets">By the names they were saved under.</param>
    /// <exception cref="InterpException">CHECKPOINT_INVALID: one is missing or has another type or shape.</exception>
    public void CopyInto(IEnumerable<KeyValuePair<string, Tensor>> targets)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        foreach (var (name, target) in targets)
        {
            var stored = Read(name);
            if (stored.dtype != target.dtype || !stored.shape.SequenceEqual(target.shape))
                throw InterpException.DataLoss("CHECKPOINT_INVALID",
                    $"'{Path}': {name} is {stored.dtype} [{string.Join(", ", stored.shape)}]; " +
                    $"the run has {target.dtype} [{string.Join(", ", target.shape)}].");
            target.copy_(stored);
        }
    }

    /// <summary>A tensor of the file, in the current scope.</summary>
    /// <exception cref="InterpException">CHECKPOINT_INVALID.</exception>
    public Tensor Read(string name) => source.Entries.ContainsKey(name)
        ? source.Read(name)
        : throw InterpException.DataLoss("CHECKPOINT_INVALID", $"'{Path}' has no tensor '{name}'.");

    public void Dispose() => source.Dispose();
}
