using System.Globalization;
using System.Text;

namespace InteropInterp.Tensors;

/// <summary>Text from files, made fit for an error message: control characters visible, long text cut.</summary>
internal static class Quoted
{
    /// <summary>A name, in quotes.</summary>
    public static string Name(string name) => $"'{Clean(name, 120)}'";

    /// <summary>What a parser says of a file: it may quote the file at length.</summary>
    public static string Message(Exception error) => Clean(error.Message, 240);

    private static string Clean(string text, int longest)
    {
        var clean = new StringBuilder();
        foreach (var c in text.AsSpan(0, Math.Min(text.Length, longest)))
            if (char.IsControl(c) || char.IsSurrogate(c)) clean.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else clean.Append(c);
        return clean.Append(text.Length > longest ? "…" : "").ToString();
    }
}
