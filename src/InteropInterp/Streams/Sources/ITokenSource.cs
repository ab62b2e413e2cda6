namespace InteropInterp.Streams.Sources;

/// <summary>Rows of tokens in a fixed order, which can be read from any of them on. For one reader at a time.</summary>
public interface ITokenSource : IDisposable
{
    /// <summary>What it is, by content and settings: a stream that was broken off goes on over the same only. May read everything once.</summary>
    string Identity { get; }

    /// <summary>Tokens in the longest row.</summary>
    int RowLength { get; }

    /// <summary>Rows in all; null where only reading them tells.</summary>
    long? RowCount { get; }

    /// <summary>The rows from one on, none empty.</summary>
    /// <param name="from">0 is the first.</param>
    /// <exception cref="InterpException">What of a file is not as its format says, where that comes up.</exception>
    IEnumerable<int[]> Rows(long from);
}
