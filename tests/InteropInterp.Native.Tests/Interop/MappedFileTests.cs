using InteropInterp.Native.Interop;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Interop;

public sealed class MappedFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly string path;

    public MappedFileTests()
    {
        path = folder.File("data");
        File.WriteAllBytes(path, Enumerable.Range(0, 3 * Environment.SystemPageSize).Select(i => (byte)(i / 16)).ToArray());
    }

    public void Dispose() => folder.Dispose();

    private bool IsMapped => File.ReadLines("/proc/self/maps").Any(line => line.EndsWith(path, StringComparison.Ordinal));

    [Fact]
    public void Bytes_are_those_of_the_file()
    {
        using var file = MappedFile.Open(path);
        Assert.Equal(new FileInfo(path).Length, file.Length);
        Assert.Equal(File.ReadAllBytes(path).AsSpan(5000, 100), file.Span(5000, 100));
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(0, long.MaxValue)]
    [InlineData(long.MaxValue, 1)]
    [InlineData(3 * 4096, 1)]
    [InlineData(3 * 4096 - 1, 2)]
    public void Nothing_past_the_file_is_given_out(long offset, long length)
    {
        Assert.Equal(4096, Environment.SystemPageSize);
        using var file = MappedFile.Open(path);
        Assert.Equal("FILE_TRUNCATED", Assert.Throws<InterpException>(() => file.Pointer(offset, length)).Reason);
        Assert.Equal("FILE_TRUNCATED", Assert.Throws<InterpException>(() => file.Release(offset, length)).Reason);
    }

    [Fact]
    public void The_last_owner_unmaps_in_whatever_order_they_go()
    {
        var file = MappedFile.Open(path);
        var (a, b) = (file.AddReference(), file.AddReference());
        a.Dispose();
        a.Dispose();
        file.Dispose();
        file.Dispose();
        Assert.True(IsMapped);
        Assert.Equal(0, file.Span(0, 1)[0]);
        b.Dispose();
        Assert.False(IsMapped);
    }

    [Fact]
    public void The_mapping_outlives_the_reader_and_goes_with_the_last_tensor()
    {
        TorchSharp.torch.Tensor row;
        using (NewDisposeScope())
        {
            var file = MappedFile.Open(path);
            var tensor = Blob.Own(file.Pointer(0, 200), [2, 100], ScalarType.Byte, file.AddReference());
            file.Dispose();
            row = tensor[1].MoveToOuterDisposeScope();
        }
        Assert.True(IsMapped);
        Assert.Equal(100 / 16, row.data<byte>()[0]);
        row.Dispose();
        Assert.False(IsMapped);
    }

    [Fact]
    public void A_closed_file_takes_no_new_owner_and_when_unmapped_gives_no_address()
    {
        var file = MappedFile.Open(path);
        using (file.AddReference())
        {
            file.Dispose();
            Assert.Equal("FILE_CLOSED", Assert.Throws<InterpException>(file.AddReference).Reason);
        }
        Assert.Equal("FILE_CLOSED", Assert.Throws<InterpException>(() => file.Pointer(0, 1)).Reason);
    }

    [Fact]
    public void A_write_stays_in_this_process_until_its_pages_are_released()
    {
        using var file = MappedFile.Open(path);
        var before = File.ReadAllBytes(path);
        using (NewDisposeScope()) Blob.View(file.Pointer(0, file.Length), [file.Length], ScalarType.Byte).zero_();
        Assert.Equal(before, File.ReadAllBytes(path));
        // Only whole pages inside the range: here the middle one.
        file.Release(1, file.Length - 2);
        var expected = new byte[before.Length];
        before.AsSpan(4096, 4096).CopyTo(expected.AsSpan(4096));
        Assert.Equal(expected, file.Span(0, (int)file.Length).ToArray());
    }

    [Fact]
    public void An_empty_file_is_mapped_as_nothing()
    {
        File.WriteAllBytes(path, []);
        using var file = MappedFile.Open(path);
        Assert.Equal(0, file.Length);
        Assert.Equal(0, file.Span(0, 0).Length);
        Assert.Throws<InterpException>(() => file.Pointer(0, 1));
    }

    [Fact]
    public void A_sparse_file_larger_than_memory_can_be_mapped()
    {
        using (var stream = File.OpenWrite(path)) stream.SetLength(1L << 42);
        using var file = MappedFile.Open(path);
        Assert.Equal(0, file.Span((1L << 42) - 1, 1)[0]);
    }

    [Fact]
    public void What_cannot_be_opened_is_named()
    {
        Assert.Equal("FILE_NOT_FOUND", Assert.Throws<InterpException>(() => MappedFile.Open(folder.File("none"))).Reason);
        Assert.Equal("FILE_NOT_FOUND", Assert.Throws<InterpException>(() => MappedFile.Open(folder.File("none/none"))).Reason);
        Assert.Equal("FILE_NOT_READABLE", Assert.Throws<InterpException>(() => MappedFile.Open(folder.Path)).Reason);
    }
}
