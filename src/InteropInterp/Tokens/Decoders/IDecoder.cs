namespace InteropInterp.Tokens.Decoders;

/// <summary>
/// A step from tokens to text: takes pieces, gives pieces, which in the end are joined. Immutable; safe for many threads.
/// </summary>
internal interface IDecoder
{
    List<string> Decode(List<string> pieces);
}
