using System.Runtime.InteropServices;
using System.Text;
using CsCheck;
using InteropInterp.Native.Loading;

namespace InteropInterp.Native.Tests.Loading;

public class ElfImageTests
{
    private static string Bundled(string name) => Path.Combine(AppContext.BaseDirectory, "libtorch", name);

    private static byte[] Edited(string name, Action<ElfImage> edit)
    {
        using var folder = new TemporaryFolder();
        File.Copy(Bundled(name), folder.File(name));
        File.SetUnixFileMode(folder.File(name), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        ElfImage.Edit(folder.File(name), edit);
        return File.ReadAllBytes(folder.File(name));
    }

    private static List<int> Differences(byte[] a, byte[] b)
    {
        Assert.Equal(a.Length, b.Length);
        return Enumerable.Range(0, a.Length).Where(i => a[i] != b[i]).ToList();
    }

    [Fact]
    public void Weakening_a_version_sets_one_bit()
    {
        var before = File.ReadAllBytes(Bundled(LibTorchFolder.Shim));
        var after = Edited(LibTorchFolder.Shim, image => Assert.True(image.WeakenVersion("GLIBCXX_3.4.32")));
        var at = Assert.Single(Differences(before, after));
        Assert.Equal(before[at] | 2, after[at]);
        // The hash of the name stands in front of the flags.
        Assert.Equal([0x42, 0xf8, 0x97, 0x02], after[(at - 4)..at]);
    }

    [Fact]
    public void A_version_that_is_not_required_changes_nothing()
    {
        var after = Edited("libtorch.so", image => Assert.False(image.WeakenVersion("GLIBCXX_9.9.9")));
        Assert.Equal(File.ReadAllBytes(Bundled("libtorch.so")), after);
    }

    [Fact]
    public void Renaming_changes_the_own_name_and_the_needed_ones_in_place()
    {
        var after = Edited("libtorch.so", image => Assert.Equal(2, image.Rename(name => name.Replace("libtorch", "libxorch"))));
        var text = Encoding.Latin1.GetString(after);
        Assert.Contains("\0libxorch.so\0", text, StringComparison.Ordinal);
        Assert.Contains("\0libxorch_cpu.so\0", text, StringComparison.Ordinal);
        Assert.DoesNotContain("\0libtorch.so\0", text, StringComparison.Ordinal);
        Assert.DoesNotContain("\0libtorch_cpu.so\0", text, StringComparison.Ordinal);
        Assert.Equal(2, Differences(File.ReadAllBytes(Bundled("libtorch.so")), after).Count);
    }

    [Fact]
    public void Unique_symbols_become_weak_and_stay_so()
    {
        var before = File.ReadAllBytes(Bundled("libc10.so"));
        var after = Edited("libc10.so", image =>
        {
            Assert.Equal(19, image.DemoteUniqueSymbols());
            Assert.Equal(0, image.DemoteUniqueSymbols());
        });
        var differences = Differences(before, after);
        Assert.Equal(19, differences.Count);
        Assert.All(differences, at => Assert.Equal((10, 2), (before[at] >> 4, after[at] >> 4)));
    }

    [Fact]
    public void An_edited_library_loads()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("libx10.so");
        File.Copy(Bundled("libc10.so"), path);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        ElfImage.Edit(path, image =>
        {
            image.Rename(name => name.Replace("libc10", "libx10"));
            image.DemoteUniqueSymbols();
        });
        var handle = NativeLibrary.Load(path);
        Assert.True(NativeLibrary.TryGetExport(handle, "_ZN3c106detail14torchCheckFailEPKcS2_jS2_", out _));
        NativeLibrary.Free(handle);
    }

    [Theory]
    [InlineData("")]
    [InlineData("#!/bin/sh\nthis is not a library, however long its text may go on and on and on")]
    public void What_is_no_library_is_refused(string text)
    {
        var error = Assert.Throws<InterpException>(() => Everything(Encoding.ASCII.GetBytes(text)));
        Assert.Equal("BAD_LIBRARY", error.Reason);
    }

    [Fact]
    public void Hostile_bytes_are_refused_or_harmless()
    {
        var sound = File.ReadAllBytes(Bundled("libtorch.so"));
        var damage =
            from length in Gen.Frequency((3, Gen.Const(sound.Length)), (1, Gen.Int[0, sound.Length]))
            from edits in Gen.Select(Gen.Int[0, sound.Length - 1], Gen.Frequency((2, Gen.Byte), (1, Gen.Const((byte)0xff)))).Array[0, 40]
            from header in Gen.Select(Gen.Int[0x18, 0x3f], Gen.Byte).Array[0, 3]
            select (length, edits.Concat(header).ToArray());
        damage.Sample(d =>
        {
            var bytes = sound.ToArray();
            foreach (var (at, value) in d.Item2) bytes[at] = value;
            try
            {
                Everything(bytes[..d.length]);
            }
            catch (InterpException e)
            {
                Assert.Equal("BAD_LIBRARY", e.Reason);
            }
        }, iter: 2_000, threads: 1);
    }

    private static unsafe void Everything(byte[] bytes)
    {
        // Memory of exactly this length, so that a read past the end is one.
        fixed (byte* data = bytes)
        {
            var image = new ElfImage(data, bytes.Length, "hostile.so");
            image.WeakenVersion("GLIBC_2.2.5");
            image.Rename(name => name.Replace('t', 'x'));
            image.DemoteUniqueSymbols();
        }
    }
}
