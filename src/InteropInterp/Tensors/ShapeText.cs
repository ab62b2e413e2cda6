using static TorchSharp.torch;

namespace InteropInterp.Tensors;

/// <summary>Shapes as messages show them: [2, 7, 16].</summary>
internal static class ShapeText
{
    public static string Shown(this Tensor? tensor) => (tensor?.shape ?? []).Shown();

    public static string Shown(this IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";
}
