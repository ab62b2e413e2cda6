using Xunit;

namespace InteropInterp.TestKit;

/// <summary>
/// Third-party models and golden numbers, read at test time from the folder "shared" beside the repository (or
/// $INTEROPINTERP_SHARED). Tests that need it skip, with the reason, where it is absent.
/// </summary>
public static class SharedFolder
{
    /// <summary>The repository's root: the folder of InteropInterp.sln.</summary>
    public static string Repository { get; } = FindRepository();

    private static readonly string? Root = FindRoot();

    public static bool IsPresent => Root is not null;

    /// <summary>A file or folder below the shared folder; the calling test is skipped where it is not there.</summary>
    public static string Path(params string[] parts)
    {
        Assert.SkipWhen(Root is null, "the shared folder with third-party models is absent");
        var path = System.IO.Path.Combine([Root, .. parts]);
        Assert.SkipUnless(File.Exists(path) || Directory.Exists(path), $"shared/{string.Join('/', parts)} is absent");
        return path;
    }

    private static string? FindRoot()
    {
        var named = Environment.GetEnvironmentVariable("INTEROPINTERP_SHARED");
        var path = string.IsNullOrEmpty(named) ? System.IO.Path.Combine(Repository, "..", "shared") : named;
        return Directory.Exists(path) ? System.IO.Path.GetFullPath(path) : null;
    }

    private static string FindRepository()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = System.IO.Path.GetDirectoryName(folder))
            if (File.Exists(System.IO.Path.Combine(folder, "InteropInterp.sln"))) return folder;
        throw new InvalidOperationException("The tests run from a build below the repository.");
    }
}
