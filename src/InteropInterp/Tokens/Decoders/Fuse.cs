namespace InteropInterp.Tokens.Decoders;

/// <summary>All pieces as one.</summary>
internal sealed class Fuse : IDecoder
{
    public List<string> Decode(List<string> pieces) => [string.Concat(pieces)];
}
