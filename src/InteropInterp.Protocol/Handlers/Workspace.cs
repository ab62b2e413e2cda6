using InteropInterp.Dictionaries;
using InteropInterp.Models;
using InteropInterp.Plans.Execution;
using InteropInterp.Protocol.Tensors;

namespace InteropInterp.Protocol.Handlers;

/// <summary>What the handlers of one door share.</summary>
public sealed record Workspace
{
    public required TensorStore Tensors { get; init; }
    public required IDeviceWork Work { get; init; }
    public ModelStore Models { get; init; } = ModelStore.Shared;
    public DictionaryStore Dictionaries { get; init; } = DictionaryStore.Shared;
    public ModelRoots Roots { get; init; } = ModelRoots.Anywhere;
    public ExecutionOptions Options { get; init; } = new();

    /// <summary>Where models and dictionaries are loaded of which nobody says where.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>Clients share this process: results always go by reference, paths are theirs, and calls may call back.</summary>
    public bool IsInProcess { get; init; }

    /// <summary>Bytes that a request may have; null: no limit.</summary>
    public int? MaxRequestBytes { get; init; }
}
