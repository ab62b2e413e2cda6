using System.Globalization;
using System.Text;

namespace InteropInterp.Tensors;

/// <summary>Names from files, made fit for an error message: in quotes, control characters visible, long ones cut.</summary>
internal static class Quoted
{
    private const int Longest = 120;

    public static string Name(string name)
    {
        var text = new StringBuilder("'");
        foreach (var c in name.AsSpan(0, Math.Min(name.Length, Longest)))
            if (char.IsControl(c) || char.IsSurrogate(c)) text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else text.Append(c);
        return text.Append(name.Length > Longest ? "…'" : "'").ToString();
    }
}
