using System.Globalization;
using System.Text;

namespace InteropInterp.Tokens.Decoders;

/// <summary>
/// Runs of byte tokens (&lt;0xE2&gt;) to text. A run that is not valid UTF-8 as a whole becomes one U+FFFD per byte.
/// </summary>
internal sealed class ByteFallbackDecoder : IDecoder
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public List<string> Decode(List<string> pieces)
    {
        var output = new List<string>(pieces.Count);
        var run = new List<byte>();
        foreach (var piece in pieces)
        {
            if (TryParse(piece, out var value))
            {
                run.Add(value);
                continue;
            }
            Flush(run, output);
            output.Add(piece);
        }
        Flush(run, output);
        return output;
    }

    private static bool TryParse(string piece, out byte value)
    {
        value = 0;
        return piece.Length == 6 && piece.StartsWith("<0x", StringComparison.Ordinal) && piece[5] == '>'
            && byte.TryParse(piece.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    private static void Flush(List<byte> run, List<string> output)
    {
        if (run.Count == 0) return;
        try
        {
            output.Add(Strict.GetString(run.ToArray()));
        }
        catch (DecoderFallbackException)
        {
            output.AddRange(Enumerable.Repeat("\uFFFD", run.Count));
        }
        run.Clear();
    }
}
