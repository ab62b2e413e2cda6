using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Loading;

public class LibTorchTests
{
    [Fact]
    public void Loads_once_and_says_what_it_loaded()
    {
        var info = LibTorch.Load();
        Assert.Same(info, LibTorch.Load(new LibTorchOptions { Private = true }));
        Assert.Equal("bundled", info.Origin);
        Assert.StartsWith("2.10", info.Version, StringComparison.Ordinal);
        Assert.All(info.Libraries.Values, path => Assert.True(File.Exists(path)));
    }

    [Fact]
    public void Only_one_copy_of_each_library_is_mapped()
    {
        LibTorch.Load();
        using (var t = zeros(2)) Assert.Equal(2, t.numel());
        var mapped = File.ReadLines("/proc/self/maps").Where(l => l.Contains("libtorch_cpu", StringComparison.Ordinal))
            .Select(l => l[l.IndexOf('/')..]).Distinct().ToList();
        Assert.Single(mapped);
        Assert.False(Directory.Exists(Path.Combine(AppContext.BaseDirectory, "cpu")), "TorchSharp made its own copy");
    }
}
