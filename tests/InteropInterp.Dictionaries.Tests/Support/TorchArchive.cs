using System.IO.Compression;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Support;

/// <summary>
/// The tensors of an uncompressed torch archive (ae.pt) whose names, types and shapes the test knows: numbers are read straight
/// out of the zip, the pickle is not looked at.
/// </summary>
internal static class TorchArchive
{
    /// <param name="tensors">In the order of the state dict.</param>
    public static Dictionary<string, Tensor> Read(string path, params IReadOnlyList<(string Name, ScalarType Type, long[] Shape)> tensors)
    {
        using var zip = ZipFile.OpenRead(path);
        var result = new Dictionary<string, Tensor>();
        for (var i = 0; i < tensors.Count; i++)
        {
            var (name, type, shape) = tensors[i];
            using var stream = zip.Entries.Single(e => e.FullName.EndsWith($"/data/{i}", StringComparison.Ordinal)).Open();
            using var memory = new MemoryStream();
            stream.CopyTo(memory);
            // The package keeps encoders as the transpose of a decoder.
            var isTransposed = name is "encoder.weight" or "W_enc";
            var value = empty(isTransposed ? [shape[1], shape[0]] : shape, type);
            Assert.Equal(value.numel() * value.element_size(), memory.Length);
            value.bytes = memory.ToArray();
            result[name] = isTransposed ? value.t() : value;
        }
        return result;
    }
}
