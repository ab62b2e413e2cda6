using System.Text;
using InteropInterp.Native.Loading;

namespace InteropInterp.Native.Tests.Loading;

public sealed class LibTorchFolderTests : IDisposable
{
    // As long as the name that libgomp gives itself.
    private const string Neighbour = "libcufft.so9";
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    // The bundled libraries, laid out as a Python torch is.
    private string Installed(string? versionFile, string versionText, params string[] without)
    {
        var root = folder.File("torch");
        Directory.CreateDirectory(Path.Combine(root, "lib"));
        foreach (var file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "libtorch")))
        {
            var name = Path.GetFileName(file);
            if (name != LibTorchFolder.Shim && !without.Contains(name)) File.CreateSymbolicLink(Path.Combine(root, "lib", name), file);
        }
        if (versionFile is not null) File.WriteAllText(Path.Combine(root, versionFile), versionText);
        return root;
    }

    [Theory]
    [InlineData("version.py", "__all__ = ['__version__']\n__version__ = '2.10.0+cpu'\ndebug = False\n")]
    [InlineData("version.py", "__version__ = \"2.12.1+cu128\"\n")]
    [InlineData("build-version", "2.11.0+cpu\n")]
    public void An_installed_torch_of_a_fitting_version_is_taken(string file, string text)
    {
        var root = Installed(file, text);
        foreach (var named in new[] { root, Path.Combine(root, "lib"), Path.Combine(root, "lib/") })
        {
            var found = LibTorchFolder.Find(named);
            Assert.Equal((Path.Combine(root, "lib"), false), (found.Path.TrimEnd('/'), found.IsBundled));
        }
    }

    [Theory]
    [InlineData("version.py", "__version__ = '2.13.0+cpu'\n")]
    [InlineData("version.py", "__version__ = '2.9.1'\n")]
    [InlineData("version.py", "__version__ = '3.0'\n")]
    [InlineData("build-version", "1.13.1")]
    public void Other_versions_have_other_object_layouts_and_are_refused(string file, string text)
    {
        var error = Assert.Throws<InterpException>(() => LibTorchFolder.Find(Installed(file, text)));
        Assert.Equal("LIBTORCH_VERSION_UNSUPPORTED", error.Reason);
        Assert.Contains("2.10 to 2.12", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, "")]
    [InlineData("version.py", "__version__ = 'unknown'\n")]
    [InlineData("version.py", "__version__ = '99999999999999999999.1'\n")]
    public void A_version_that_nothing_tells_is_refused(string? file, string text)
    {
        var error = Assert.Throws<InterpException>(() => LibTorchFolder.Find(Installed(file, text)));
        Assert.Equal("LIBTORCH_VERSION_UNKNOWN", error.Reason);
    }

    [Fact]
    public void Missing_libraries_are_named()
    {
        var root = Installed("version.py", "__version__ = '2.10.0'\n", "libtorch_cpu.so", "libc10.so");
        var error = Assert.Throws<InterpException>(() => LibTorchFolder.Find(root));
        Assert.Equal("LIBTORCH_NOT_FOUND", error.Reason);
        Assert.Contains("libc10.so, libtorch_cpu.so", error.Message, StringComparison.Ordinal);
        Assert.Contains(root, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_name_the_bundled_one_is_found()
    {
        var found = LibTorchFolder.Find("");
        Assert.True(found.IsBundled);
        Assert.False(found.HasCuda);
        Assert.Equal(Path.Combine(AppContext.BaseDirectory, "libtorch"), found.Path);
    }

    [Fact]
    public void A_process_runs_on_an_installed_torch()
    {
        var root = Installed("version.py", "__version__ = '2.10.0+cpu'\n");
        var report = ChildProcess.Load(("INTEROPINTERP_LIBTORCH", root), ("INTEROPINTERP_PRIVATE_LIBTORCH", "1"));
        Assert.Null(report.Message);
        Assert.Equal(("installed torch", false, 256.0), (report.Origin, report.IsPrivate, report.Product));
        Assert.Contains(Path.Combine(root, "lib", "libtorch_cpu.so"), report.Libraries!);
    }

    [Fact]
    public void A_process_refuses_an_installed_torch_of_another_version()
    {
        var report = ChildProcess.Load(("INTEROPINTERP_LIBTORCH", Installed("version.py", "__version__ = '2.13.0'\n")));
        Assert.Equal("LIBTORCH_VERSION_UNSUPPORTED", report.Reason);
    }

    [Fact]
    public void A_library_that_is_damaged_is_named()
    {
        var root = Installed("version.py", "__version__ = '2.10.0'\n", "libc10.so");
        File.WriteAllText(Path.Combine(root, "lib", "libc10.so"), "not a library");
        var report = ChildProcess.Load(("INTEROPINTERP_LIBTORCH", root));
        Assert.Equal("LIBTORCH_NOT_LOADABLE", report.Reason);
        Assert.Contains("libc10.so", report.Message, StringComparison.Ordinal);
    }

    // What a CUDA torch's wheels look like: a libtorch_cuda that needs a library of a package beside torch, which no path leads to.
    private string InstalledWithNeighbour(bool isThere)
    {
        var root = Installed("version.py", "__version__ = '2.10.0+cu130'\n");
        var lib = Path.Combine(root, "lib");
        // The name it needs is shorter than the one it needed: the string ends early.
        var cuda = File.ReadAllBytes(Path.Combine(lib, "libtorch.so"));
        var needed = cuda.AsSpan(cuda.AsSpan().IndexOf("libtorch_cpu.so"u8), "libtorch_cpu.so".Length);
        needed.Clear();
        Encoding.ASCII.GetBytes(Neighbour, needed);
        File.WriteAllBytes(Path.Combine(lib, "libtorch_cuda.so"), cuda);
        if (!isThere) return root;
        var path = Path.Combine(Directory.CreateDirectory(folder.File("nvidia/cu13/lib")).FullName, Neighbour);
        File.WriteAllBytes(path, File.ReadAllBytes(Path.Combine(lib, "libgomp-98b21ff3.so.1")));
        ElfImage.Edit(path, image => Assert.Equal(1, image.Rename(name => name == "libgomp.so.1" ? Neighbour : null)));
        return root;
    }

    [Fact]
    public void Libraries_of_packages_beside_torch_are_found()
    {
        var report = ChildProcess.Load(("INTEROPINTERP_LIBTORCH", InstalledWithNeighbour(true)));
        Assert.Null(report.Message);
        Assert.Equal(("installed torch", 256.0), (report.Origin, report.Product));
        Assert.Contains(report.Libraries!, path => path.EndsWith("/libtorch_cuda.so", StringComparison.Ordinal));
    }

    [Fact]
    public void A_library_that_lies_nowhere_is_named()
    {
        var report = ChildProcess.Load(("INTEROPINTERP_LIBTORCH", InstalledWithNeighbour(false)));
        Assert.Equal("LIBTORCH_NOT_LOADABLE", report.Reason);
        Assert.Contains("libtorch_cuda.so", report.Message, StringComparison.Ordinal);
        Assert.Contains(Neighbour, report.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("libcudart.so.13: cannot open shared object file: No such file or directory", "libcudart.so.13")]
    [InlineData("/somewhere/libtorch_cuda.so: cannot open shared object file: No such file or directory", null)]
    [InlineData("/somewhere/libtorch_cuda.so: undefined symbol: x", null)]
    [InlineData(null, null)]
    public void What_the_loader_misses_is_read_from_its_words(string? error, string? name) => Assert.Equal(name, NeighbourLibraries.Missing(error));
}
