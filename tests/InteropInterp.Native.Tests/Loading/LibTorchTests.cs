using InteropInterp.Native.Interop;
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

    [Fact]
    public void Asking_for_a_gpu_that_is_not_there_says_so_and_copies_nothing()
    {
        Assert.False(cuda_is_available());
        Assert.Empty(Directory.GetDirectories(AppContext.BaseDirectory, "cuda*"));
    }

    [Fact]
    public void A_private_copy_computes_under_other_names()
    {
        var report = ChildProcess.Load(("INTEROPINTERP_PRIVATE_LIBTORCH", "1"));
        Assert.Null(report.Message);
        Assert.Equal(("bundled", true, 256.0), (report.Origin, report.IsPrivate, report.Product));
        Assert.Contains(report.Libraries!, path => path.EndsWith("/libxorch_cpu.so", StringComparison.Ordinal));
        Assert.DoesNotContain(report.Libraries!, path => path.EndsWith("/libtorch_cpu.so", StringComparison.Ordinal));
    }

    [Fact]
    public void A_library_without_what_is_needed_is_told_by_name()
    {
        var error = Assert.Throws<InterpException>(() => NativeApi.Bind(System.Runtime.InteropServices.NativeLibrary.Load("libm.so.6")));
        Assert.Equal("LIBTORCH_SYMBOL_MISSING", error.Reason);
        Assert.Contains("torch_call_dispatcher", error.Message, StringComparison.Ordinal);
        // What was bound before still is.
        using var scope = NewDisposeScope();
        Assert.Equal(0f, Dispatcher.Call("aten::relu", "", tensor(-1f)).item<float>());
    }

    [Fact]
    public void A_self_test_that_fails_names_the_capability_and_the_library()
    {
        var info = LibTorch.Load();
        var error = Assert.Throws<InterpException>(() => SelfTest.Check(info, "a matrix product", () => false));
        Assert.Equal("LIBTORCH_SELF_TEST", error.Reason);
        Assert.Contains("a matrix product", error.Message, StringComparison.Ordinal);
        Assert.Contains(info.Folder, error.Message, StringComparison.Ordinal);
        var cause = new InvalidOperationException("boom");
        Assert.Same(cause, Assert.Throws<InterpException>(() => SelfTest.Check(info, "x", () => throw cause)).InnerException);
    }
}
