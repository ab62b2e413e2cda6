using InteropInterp.Dictionaries;
using InteropInterp.Plans.Interventions;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Mapping;

/// <summary>What a message refers to besides itself: tensors and dictionaries that somebody holds, functions of the client.</summary>
public interface IReferences
{
    /// <summary>The tensor of a message, kept for the call.</summary>
    /// <param name="field">Where the message stands in the request.</param>
    Tensor Tensor(V1.Tensor message, string field);

    /// <summary>The dictionary of a name, kept for the call.</summary>
    SparseDictionary Dictionary(string name);

    /// <summary>A function of the client that is called in the middle of a run.</summary>
    /// <exception cref="InterpException">CALLBACK_NOT_HERE where there is no way back to the client.</exception>
    Func<Tensor, CallbackContext, Tensor?> Hook(long id, string field);
}

/// <summary>How what a plan holds is written into a message.</summary>
public interface IReferenceWriter
{
    V1.Tensor Tensor(Tensor tensor);

    /// <summary>The name under which the other side holds it.</summary>
    string Dictionary(SparseDictionary dictionary);
}

/// <summary>The target of a delegate that stands for a function of the client.</summary>
public interface IClientFunction
{
    /// <summary>The client's number for it.</summary>
    long Id { get; }
}
