using InteropInterp.Native.Loading;

namespace InteropInterp.Native.Tests.Loading;

public sealed class LibraryCacheTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly string source;

    public LibraryCacheTests()
    {
        Directory.CreateDirectory(folder.File("original"));
        source = folder.File("original/libtorch.so");
        File.Copy(Path.Combine(AppContext.BaseDirectory, "libtorch", "libtorch.so"), source);
    }

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_copy_is_made_once_and_the_original_is_left_alone()
    {
        var before = File.ReadAllBytes(source);
        var cache = new LibraryCache(folder.File("cache"));
        var edits = 0;
        void Edit(ElfImage image) => edits += image.Rename(name => name.Replace("libtorch.so", "libxorch.so"));
        var path = cache.Get(source, "libxorch.so", "test", Edit);
        Assert.Equal(path, cache.Get(source, "libxorch.so", "test", Edit));
        Assert.Equal(1, edits);
        Assert.Equal(before, File.ReadAllBytes(source));
        Assert.NotEqual(before, File.ReadAllBytes(path));
        Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(path) & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite));
    }

    [Fact]
    public void Another_original_or_another_edit_gets_another_copy()
    {
        var cache = new LibraryCache(folder.File("cache"));
        var first = cache.Get(source, "copy.so", "test", _ => { });
        Assert.NotEqual(first, cache.Get(source, "copy.so", "other edit", _ => { }));
        File.SetLastWriteTimeUtc(source, new DateTime(2001, 2, 3, 4, 5, 6, DateTimeKind.Utc));
        Assert.NotEqual(first, cache.Get(source, "copy.so", "test", _ => { }));
    }

    [Fact]
    public void Threads_that_race_get_the_same_whole_copy()
    {
        var cache = new LibraryCache(folder.File("cache"));
        using var start = new Barrier(4);
        var paths = new string[4];
        var threads = Enumerable.Range(0, 4).Select(i => new Thread(() =>
        {
            start.SignalAndWait();
            paths[i] = cache.Get(source, "copy.so", "race", image => image.DemoteUniqueSymbols());
        })).ToList();
        threads.ForEach(t => t.Start());
        Assert.All(threads, t => Assert.True(t.Join(10_000)));
        var path = Assert.Single(paths.Distinct());
        Assert.Equal(new FileInfo(source).Length, new FileInfo(path).Length);
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(path)!));
    }

    [Fact]
    public void Processes_that_race_get_the_same_whole_copy()
    {
        var environment = ("INTEROPINTERP_CACHE", folder.File("cache"));
        var children = new[] { ChildProcess.Start("copy", environment), ChildProcess.Start("copy", environment) };
        var path = Assert.Single(children.Select(wait => wait().Trim()).Distinct());
        Assert.StartsWith(folder.Path, path, StringComparison.Ordinal);
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(path)!));
    }

    [Fact]
    public void An_edit_that_fails_leaves_nothing_behind()
    {
        var cache = new LibraryCache(folder.File("cache"));
        Assert.Throws<InvalidOperationException>(() => cache.Get(source, "copy.so", "test", _ => throw new InvalidOperationException()));
        Assert.Empty(Directory.GetFiles(folder.File("cache"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void Where_the_cache_cannot_be_written_the_last_resort_serves()
    {
        File.WriteAllText(folder.File("a file"), "");
        var cache = new LibraryCache(Path.Combine(folder.File("a file"), "cache"), folder.File("last"));
        var path = cache.Get(source, "copy.so", "test", _ => { });
        Assert.StartsWith(folder.File("last"), path, StringComparison.Ordinal);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder.File("last")));
    }

    [Fact]
    public void Where_nothing_can_be_written_the_error_names_each_folder_and_the_fix()
    {
        File.WriteAllText(folder.File("a file"), "");
        var cache = new LibraryCache(Path.Combine(folder.File("a file"), "cache"));
        var error = Assert.Throws<InterpException>(() => cache.Get(source, "copy.so", "test", _ => { }));
        Assert.Equal("CACHE_NOT_WRITABLE", error.Reason);
        Assert.Contains(folder.File("a file"), error.Message, StringComparison.Ordinal);
        Assert.Contains("INTEROPINTERP_CACHE", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_last_resort_that_others_may_write_is_not_trusted()
    {
        File.WriteAllText(folder.File("a file"), "");
        Directory.CreateDirectory(folder.File("planted"));
        File.SetUnixFileMode(folder.File("planted"), (UnixFileMode)0b111_111_111);
        Directory.CreateSymbolicLink(folder.File("link"), folder.File("original"));
        foreach (var name in new[] { "planted", "link", "a file" })
        {
            var cache = new LibraryCache(Path.Combine(folder.File("a file"), "cache"), folder.File(name));
            Assert.Equal("CACHE_NOT_WRITABLE", Assert.Throws<InterpException>(() => cache.Get(source, "copy.so", "test", _ => { })).Reason);
        }
    }
}
