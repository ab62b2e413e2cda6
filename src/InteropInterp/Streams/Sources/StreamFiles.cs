namespace InteropInterp.Streams.Sources;

/// <summary>The files of a source.</summary>
public static class StreamFiles
{
    /// <exception cref="InterpException">NO_FILES, FILE_NOT_FOUND.</exception>
    public static void Require(IReadOnlyList<string> paths)
    {
        InterpException.Require(paths.Count > 0, "NO_FILES", "The stream has 0 files; at least one is expected.");
        if (paths.FirstOrDefault(path => !File.Exists(path)) is { } missing)
            throw InterpException.NotFound("FILE_NOT_FOUND", $"There is no file '{missing}'.");
    }
}
