namespace InteropInterp.Caches;

/// <summary>Where the tokens of a row stand on a padded position axis.</summary>
/// <param name="Offset">The place of its first token.</param>
/// <param name="Length">How many there are.</param>
public readonly record struct RowSpan(int Offset, int Length);
