using InteropInterp.Native.Interop;

namespace InteropInterp.Native.Tests.Interop;

public sealed class AtomicFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly string path;

    public AtomicFileTests() => path = folder.File("out");

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_file_appears_at_commit_with_what_was_written_in_any_order()
    {
        using (var file = AtomicFile.Create(path, 6))
        {
            file.Write(3, "def"u8);
            file.Write(0, "abc"u8);
            Assert.False(File.Exists(path));
            file.Commit();
            Assert.Equal("abcdef", File.ReadAllText(path));
        }
        Assert.Equal([path], Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void Without_commit_the_old_file_stays_and_nothing_else()
    {
        File.WriteAllText(path, "old");
        using (var file = AtomicFile.Create(path)) file.Write(0, "new"u8);
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Single(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_whole_file_is_written_in_one_go_in_place_of_the_old_one()
    {
        File.WriteAllText(path, "something longer");
        AtomicFile.WriteAll(path, "nüe");
        Assert.Equal("nüe"u8.ToArray(), File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_link_is_replaced_and_its_target_left_alone()
    {
        File.WriteAllText(folder.File("target"), "old");
        File.CreateSymbolicLink(path, folder.File("target"));
        using (var file = AtomicFile.Create(path))
        {
            file.Write(0, "new"u8);
            file.Commit();
        }
        Assert.Equal(("new", "old"), (File.ReadAllText(path), File.ReadAllText(folder.File("target"))));
    }

    [Fact]
    public void A_file_that_has_no_room_on_the_disk_is_refused_before_the_work()
    {
        var error = Assert.Throws<InterpException>(() => AtomicFile.Create(path, 1L << 55));
        Assert.Equal("FILE_NOT_WRITABLE", error.Reason);
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_folder_is_not_overwritten()
    {
        Assert.Equal("FILE_NOT_WRITABLE", Assert.Throws<InterpException>(() => AtomicFile.Create(folder.Path)).Reason);
        using (var file = AtomicFile.Create(path))
        {
            Directory.CreateDirectory(path);
            Assert.Equal("FILE_NOT_WRITABLE", Assert.Throws<InterpException>(file.Commit).Reason);
        }
        Assert.Equal([path], Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_folder_that_is_gone_makes_commit_fail_and_dispose_quiet()
    {
        var gone = Directory.CreateDirectory(folder.File("gone")).FullName;
        using var file = AtomicFile.Create(Path.Combine(gone, "out"));
        Directory.Delete(gone, recursive: true);
        Assert.Equal("FILE_NOT_WRITABLE", Assert.Throws<InterpException>(file.Commit).Reason);
    }
}
