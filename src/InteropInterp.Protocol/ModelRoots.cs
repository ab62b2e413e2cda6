using InteropInterp.Models;

namespace InteropInterp.Protocol;

/// <summary>
/// The folders that clients may name files in. A path is taken below each root in turn; wherever its links lead must lie below a
/// root too. Nothing outside is read or written, and no message tells what is there.
/// </summary>
public sealed class ModelRoots
{
    private readonly IReadOnlyList<string> readable;
    private readonly IReadOnlyList<string> writable;
    private readonly bool useCache;

    /// <param name="folders">Folders to read from.</param>
    /// <param name="writable">Folders to read from and to save to.</param>
    /// <param name="useHuggingFaceCache">Names in the local Hugging Face cache may be loaded.</param>
    /// <exception cref="InterpException">ROOT_NOT_FOUND.</exception>
    public ModelRoots(IEnumerable<string> folders, IEnumerable<string>? writable = null, bool useHuggingFaceCache = true)
    {
        this.writable = [.. (writable ?? []).Select(Existing)];
        readable = [.. folders.Select(Existing), .. this.writable];
        useCache = useHuggingFaceCache;
    }

    private ModelRoots()
    {
        (readable, writable, useCache, IsAnywhere) = ([], [], true, true);
    }

    /// <summary>In process: files are the caller's own.</summary>
    public static ModelRoots Anywhere { get; } = new();

    private bool IsAnywhere { get; }

    /// <summary>A model, dictionary or the like to read: an absolute path, checked, or what the engine takes as a name.</summary>
    /// <exception cref="InterpException">MODEL_NOT_FOUND, PATH_OUTSIDE_ROOTS.</exception>
    public string ToRead(string path)
    {
        if (IsAnywhere) return path;
        CheckText(path);
        // As in process, the name of a model that comes with the engine is that model.
        if (EmbeddedModels.Find(path) is { } embedded) return embedded;
        foreach (var root in readable)
        {
            if (Below(root, path) is not { } candidate || RealPath.Of(candidate) is not { } real) continue;
            CheckInside(real, path);
            CheckEntries(Directory.Exists(real) ? real : Path.GetDirectoryName(real)!, path);
            return real;
        }
        if (useCache && HuggingFaceCache.Find(path) is { } snapshot && RealPath.Of(snapshot) is { } cached)
        {
            CheckInside(cached, path);
            CheckEntries(cached, path);
            return cached;
        }
        throw NotFound(path);
    }

    /// <summary>Where a client may write: below a writable root, in a folder that is there.</summary>
    /// <exception cref="InterpException">NO_WRITABLE_ROOT, PATH_OUTSIDE_ROOTS, FOLDER_NOT_FOUND.</exception>
    public string ToWrite(string path)
    {
        if (IsAnywhere) return path;
        CheckText(path);
        if (writable.Count == 0)
            throw new InterpException(ErrorCode.PermissionDenied, "NO_WRITABLE_ROOT", "This server saves nothing: it was started without a writable model root.");
        foreach (var root in writable)
        {
            if (Below(root, path) is not { } candidate) continue;
            // What is there already may be a link; what is not yet gets made in a folder that may be one.
            var real = RealPath.Of(candidate)
                ?? (RealPath.Of(Path.GetDirectoryName(candidate)!) is { } folder ? Path.Combine(folder, Path.GetFileName(candidate)) : null)
                ?? throw InterpException.NotFound("FOLDER_NOT_FOUND", $"There is no folder to write '{path}' in.");
            if (!writable.Any(w => IsWithin(w, real))) throw Outside(path);
            return real;
        }
        throw Outside(path);
    }

    /// <summary>The same error with paths as clients know them: below the roots.</summary>
    public InterpException Hide(InterpException error)
    {
        var prefixes = readable.Concat(useCache && !IsAnywhere ? HuggingFaceCache.Roots() : []).Where(root => error.Message.Contains(root, StringComparison.Ordinal)).ToList();
        if (IsAnywhere || prefixes.Count == 0) return error;
        string Hidden(string text) => prefixes.Aggregate(text, (t, root) => t.Replace(root + "/", "", StringComparison.Ordinal).Replace(root, ".", StringComparison.Ordinal));
        return new InterpException(error.Code, error.Reason, Hidden(error.Text), [.. error.Suggestions.Select(Hidden)], error) { Field = error.Field };
    }

    private static string Existing(string folder) => RealPath.Of(folder) is { } real && Directory.Exists(real)
        ? real
        : throw InterpException.NotFound("ROOT_NOT_FOUND", $"The model root '{folder}' is no folder.");

    private static void CheckText(string path)
    {
        InterpException.Require(path.Length is > 0 and < 4096 && !path.Contains('\0', StringComparison.Ordinal), "INVALID_PATH",
            "A path of 1 to 4095 characters is expected, below the server's model roots.");
    }

    // Null where the path does not even read as one below the root.
    private static string? Below(string root, string path)
    {
        var full = Path.GetFullPath(Path.Combine(root, path));
        return IsWithin(root, full) ? full : null;
    }

    private static bool IsWithin(string root, string path) =>
        path == root || (path.StartsWith(root, StringComparison.Ordinal) && (root.EndsWith('/') || path[root.Length] == '/'));

    private void CheckInside(string real, string path)
    {
        if (!readable.Any(root => IsWithin(root, real)) && !(useCache && HuggingFaceCache.Roots().Select(RealPath.Of).Any(root => root is not null && IsWithin(root, real))))
            throw Outside(path);
    }

    // A model is read from several files of its folder; a link among them may lead anywhere.
    private void CheckEntries(string folder, string path)
    {
        foreach (var entry in new DirectoryInfo(folder).EnumerateFileSystemInfos())
            if (entry.LinkTarget is not null && RealPath.Of(entry.FullName) is { } real) CheckInside(real, path);
    }

    private static InterpException Outside(string path) => new(ErrorCode.PermissionDenied, "PATH_OUTSIDE_ROOTS",
        $"'{path}' does not lie below the server's model roots. Give a path below one of them.");

    private InterpException NotFound(string path)
    {
        if (!readable.Any(root => Below(root, path) is not null)) return Outside(path);
        var names = EmbeddedModels.Names
            .Concat(readable.SelectMany(root => new DirectoryInfo(root).EnumerateFileSystemInfos().Take(1000)).Select(e => e.Name))
            .Concat(useCache ? HuggingFaceCache.Names() : []);
        return new InterpException(ErrorCode.NotFound, "MODEL_NOT_FOUND",
            $"There is no '{path}' below the server's model roots{(useCache ? ", nor in its Hugging Face cache" : "")}. Nothing is downloaded.", NearestNames.Find(path, names));
    }
}
