namespace InteropInterp.Streams;

/// <summary>How far a stream has come.</summary>
/// <param name="Rows">Rows that were run.</param>
/// <param name="Tokens">Tokens that were counted.</param>
/// <param name="TotalRows">Rows of the source; null where that is not known.</param>
/// <param name="TotalTokens">Where it ends at the latest, if the plan says so.</param>
public sealed record StreamProgress(long Rows, long Tokens, long? TotalRows, long? TotalTokens);
