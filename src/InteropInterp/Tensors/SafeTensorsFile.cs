using InteropInterp.Native.Interop;
using static TorchSharp.torch;

namespace InteropInterp.Tensors;

/// <summary>One safetensors file, mapped into memory.</summary>
public sealed class SafeTensorsFile : ITensorSource
{
    private readonly MappedTensors tensors;

    private SafeTensorsFile(MappedFile file, SafeTensorsHeader header)
    {
        Path = file.Path;
        Metadata = header.Metadata;
        tensors = new MappedTensors(file, header.Entries);
    }

    public string Path { get; }

    public IReadOnlyDictionary<string, TensorEntry> Entries => tensors.Entries;

    /// <summary>The header's <c>__metadata__</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <exception cref="InterpException">SAFETENSORS_*: what in the file is not as the format says; FILE_NOT_FOUND and so on.</exception>
    public static SafeTensorsFile Open(string path)
    {
        var file = MappedFile.Open(path);
        try
        {
            return new SafeTensorsFile(file, SafeTensorsHeader.Read(file));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public Tensor Read(string name) => tensors.Read(name);

    public Tensor Read(string name, ScalarType dtype) => tensors.Read(name, dtype);

    public Tensor ReadBytes(string name) => tensors.ReadBytes(name);

    public void Dispose() => tensors.Dispose();
}
