namespace InteropInterp.Tokens.Decoders;

/// <summary>One after the other.</summary>
internal sealed class DecoderSequence(IReadOnlyList<IDecoder> steps) : IDecoder
{
    public List<string> Decode(List<string> pieces) => steps.Aggregate(pieces, (current, step) => step.Decode(current));
}
