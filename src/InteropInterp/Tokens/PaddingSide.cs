namespace InteropInterp.Tokens;

/// <summary>On which side shorter rows are filled up.</summary>
public enum PaddingSide
{
    Right,
    Left,
}
