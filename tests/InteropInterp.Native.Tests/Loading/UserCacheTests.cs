using InteropInterp.Native.Loading;

namespace InteropInterp.Native.Tests.Loading;

public sealed class UserCacheTests : IDisposable
{
    private const string Variable = "INTEROPINTERP_CACHE";
    private readonly TemporaryFolder folder = new();
    private readonly string? before = Environment.GetEnvironmentVariable(Variable);

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(Variable, before);
        folder.Dispose();
    }

    [Fact]
    public void A_folder_is_made_where_the_cache_is_and_filled()
    {
        Environment.SetEnvironmentVariable(Variable, folder.File("cache"));
        var path = UserCache.Folder("models/a", inside => File.WriteAllText(Path.Combine(inside, "x"), "1"));
        Assert.Equal(Path.Combine(folder.File("cache"), "models/a"), path);
        Assert.Equal("1", File.ReadAllText(Path.Combine(path, "x")));
    }

    [Fact]
    public void Where_a_named_cache_cannot_be_written_no_other_is_taken()
    {
        File.WriteAllText(folder.File("file"), "");
        Environment.SetEnvironmentVariable(Variable, folder.File("file"));
        var error = Assert.Throws<InterpException>(() => UserCache.Folder("models/a", _ => { }));
        Assert.Equal("CACHE_NOT_WRITABLE", error.Reason);
        Assert.Contains(folder.File("file"), error.Message);
        Assert.Contains(Variable, error.Message);
    }
}
