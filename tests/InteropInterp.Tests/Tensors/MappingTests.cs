using System.Globalization;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Tensors;

/// <summary>How long a file stays mapped, how much of it is held, and who may read it at once.</summary>
public sealed class MappingTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly string path;

    public MappingTests() => path = folder.File("weights.safetensors");

    public void Dispose() => folder.Dispose();

    private int Mappings() => File.ReadLines("/proc/self/maps").Count(line => line.EndsWith(path, StringComparison.Ordinal));

    private void Write(StorageType type, int tensors, long count)
    {
        var declared = Enumerable.Range(0, tensors).Select(i => new TensorDeclaration($"w{i}", type, [count]));
        using var writer = SafeTensorsWriter.Create(path, declared);
        var random = new Random(1);
        var piece = new byte[1 << 16];
        foreach (var entry in writer.Entries.Values)
            for (var at = 0L; at < entry.Length; at += piece.Length)
            {
                random.NextBytes(piece);
                writer.WriteBytes(entry.Name, piece.AsSpan(0, (int)Math.Min(piece.Length, entry.Length - at)));
            }
        writer.Commit();
    }

    [Fact]
    public void The_mapping_goes_with_the_last_tensor_over_it()
    {
        Write(StorageType.F32, 2, 10_000);
        var file = SafeTensorsFile.Open(path);
        var a = file.Read("w0");
        var b = file.Read("w1");
        var again = file.Read("w0");
        using var copy = file.Read("w1", ScalarType.Float64);
        var part = b[100..200];
        var expected = Values.Of<float>(b)[150];
        Assert.Equal(1, Mappings());
        file.Dispose();
        a.Dispose();
        b.Dispose();
        again.Dispose();
        Assert.Equal(1, Mappings());
        Assert.Equal(expected, Values.Of<float>(part)[50]);
        part.Dispose();
        Assert.Equal(0, Mappings());
        Assert.Equal(expected, (float)Values.Of<double>(copy)[150]);
    }

    [Fact]
    public void The_mapping_goes_with_the_source_when_no_tensor_is_left()
    {
        Write(StorageType.F32, 1, 10_000);
        var file = SafeTensorsFile.Open(path);
        using (NewDisposeScope()) file.Read("w0");
        Assert.Equal(1, Mappings());
        file.Dispose();
        Assert.Equal(0, Mappings());
    }

    [Fact]
    public void Threads_that_read_the_same_tensors_agree()
    {
        Write(StorageType.BF16, 4, 100_000);
        using var file = SafeTensorsFile.Open(path);
        using var scope = NewDisposeScope();
        var expected = file.Entries.Keys.ToDictionary(name => name, name => Values.Of<float>(file.Read(name, ScalarType.Float32)));
        Together(4, _ =>
        {
            using var mine = NewDisposeScope();
            for (var round = 0; round < 10; round++)
                foreach (var (name, values) in expected)
                {
                    Values.AssertSame(values, Values.Of<float>(file.Read(name, ScalarType.Float32)));
                    Values.AssertSame(values, Values.Of<float>(file.Read(name).to(ScalarType.Float32)));
                }
        });
    }

    [Fact]
    public void A_source_closed_under_its_readers_gives_errors_and_no_crash()
    {
        Write(StorageType.BF16, 1, 50_000);
        for (var round = 0; round < 20; round++)
        {
            var file = SafeTensorsFile.Open(path);
            var reasons = new string?[3];
            // The fourth closes the file while the others read.
            Together(4, i =>
            {
                if (i == 3) file.Dispose();
                else reasons[i] = ReadUntilRefused(file, i == 0);
            });
            Assert.All(reasons, reason => Assert.Equal("FILE_CLOSED", reason));
            Assert.Equal(0, Mappings());
        }
    }

    private static string ReadUntilRefused(SafeTensorsFile file, bool inPlace)
    {
        try
        {
            var started = Environment.TickCount64;
            while (Environment.TickCount64 - started < 20_000)
            {
                using var tensor = inPlace ? file.Read("w0") : file.Read("w0", ScalarType.Float32);
                Assert.Equal(50_000, tensor.numel());
            }
            return "never refused";
        }
        catch (InterpException e)
        {
            return e.Reason;
        }
    }

    private static void Together(int count, Action<int> work)
    {
        var failures = new Exception?[count];
        var threads = Enumerable.Range(0, count).Select(i => new Thread(() => failures[i] = Record.Exception(() => work(i)))).ToList();
        threads.ForEach(thread => thread.Start());
        Assert.All(threads, thread => Assert.True(thread.Join(TimeSpan.FromSeconds(30))));
        Assert.All(failures, Assert.Null);
    }

    [Theory]
    [InlineData(StorageType.BF16, 40_000_000)]
    [InlineData(StorageType.F8_E4M3, 40_000_000)]
    [InlineData(StorageType.F32, 40_000_000)]
    public void Loading_holds_at_most_1_2_times_the_weights(StorageType type, long count)
    {
        Write(type, 4, count / 4);
        // The first use of a kernel brings code and thread pools into memory, which are no weights.
        Load(type == StorageType.F32 ? 1 : 4).ForEach(tensor => tensor.Dispose());
        var before = (Peak: PeakMemory.Reset(), Held: Held());
        var weights = Load(4);
        var (peak, held) = (PeakMemory.Read() - before.Peak, Held() - before.Held);
        var bytes = weights.Sum(tensor => tensor.numel() * 4);
        weights.ForEach(tensor => tensor.Dispose());
        Assert.Equal(count * 4, bytes);
        // From below only so far that a measurement that misses the weights shows.
        Assert.InRange(peak, 0.6 * bytes, 1.2 * bytes);
        Assert.InRange(held, 0.6 * bytes, 1.2 * bytes);
    }

    private List<Tensor> Load(int tensors)
    {
        using var file = SafeTensorsFile.Open(path);
        var read = file.Entries.Keys.Take(tensors).Select(name => file.Read(name, ScalarType.Float32)).ToList();
        // Weights read in place come into memory as they are used.
        foreach (var tensor in read) using (tensor.sum()) { }
        return read;
    }

    // Anonymous memory and what of the weights' file is mapped in; not the libraries, whose pages come and go with other processes.
    private long Held() => Status("RssAnon") + File.ReadLines("/proc/self/smaps")
        .SkipWhile(line => !line.EndsWith(path, StringComparison.Ordinal))
        .Where(line => line.StartsWith("Private_", StringComparison.Ordinal)).Take(2).Sum(Bytes);

    private static long Status(string name) =>
        Bytes(File.ReadLines("/proc/self/status").Single(line => line.StartsWith(name + ":", StringComparison.Ordinal)));

    private static long Bytes(string line) => 1024 * long.Parse(line.Split(':')[1].Replace("kB", ""), CultureInfo.InvariantCulture);
}
