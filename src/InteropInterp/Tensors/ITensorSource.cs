using static TorchSharp.torch;

namespace InteropInterp.Tensors;

/// <summary>
/// Named tensors in files that stay on disk until they are read: one safetensors file, a sharded folder, a GGUF. Safe to read
/// from several threads. Disposing it does not touch tensors that were read; the memory map goes with the last of them.
/// </summary>
public interface ITensorSource : IDisposable
{
    /// <summary>All tensors by name, in file order.</summary>
    IReadOnlyDictionary<string, TensorEntry> Entries { get; }

    /// <summary>Notes of whoever wrote the file; empty where there are none.</summary>
    IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>
    /// The tensor as stored, in the shape of its entry. It lies in the memory map, so nothing is copied; a write to it is seen
    /// by later readers of this source and never reaches the file. Data that is not aligned to its type is copied.
    /// </summary>
    /// <exception cref="InterpException">UNKNOWN_TENSOR; DTYPE_NOT_IN_TORCH for storage without a torch type (F8, U16,
    /// quantised, ...): read it as float32, or its bytes.</exception>
    Tensor Read(string name);

    /// <summary>
    /// The tensor as floating-point numbers of type <paramref name="dtype"/>, rounded to nearest where that type is narrower.
    /// An own copy, except where it is stored as that type and aligned: then as <see cref="Read(string)"/>. Pages of the file
    /// that were converted are given back, so that loading holds the result and little else.
    /// </summary>
    /// <exception cref="InterpException">UNKNOWN_TENSOR; DTYPE_NOT_READABLE where the storage has no such reading.</exception>
    Tensor Read(string name, ScalarType dtype);

    /// <summary>The stored bytes, uint8 [length], uncopied: for storage that torch has no type for.</summary>
    /// <exception cref="InterpException">UNKNOWN_TENSOR.</exception>
    Tensor ReadBytes(string name);
}
