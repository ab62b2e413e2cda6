using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Decoders;

/// <summary>
/// Stand-ins of bytes back to bytes, and these to text; what is not UTF-8 becomes U+FFFD. A token with any other character in it
/// (an added token) is taken as text.
/// </summary>
internal sealed class ByteLevelDecoder : IDecoder
{
    public List<string> Decode(List<string> pieces)
    {
        var bytes = new List<byte>();
        foreach (var piece in pieces)
        {
            var before = bytes.Count;
            foreach (var c in piece)
            {
                if (ByteAlphabet.TryToByte(c, out var value))
                {
                    bytes.Add(value);
                    continue;
                }
                bytes.RemoveRange(before, bytes.Count - before);
                bytes.AddRange(System.Text.Encoding.UTF8.GetBytes(piece));
                break;
            }
        }
        return [System.Text.Encoding.UTF8.GetString(bytes.ToArray())];
    }
}
