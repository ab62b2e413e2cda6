using InteropInterp.Tensors;
using InteropInterp.Tensors.Gguf;
using InteropInterp.Tests.Tensors.Gguf;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Tensors;

/// <summary>
/// Thousands of damaged files: each is read or refused with the engine's own error; none crashes, hangs or reads past its end.
/// </summary>
public sealed class FuzzTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Eight_thousand_damaged_safetensors_files() =>
        Fuzz(8000, SafeTensorsSeeds(), lengthAt: 0, path => SafeTensorsFile.Open(path));

    [Fact]
    public void Five_thousand_damaged_ggufs() => Fuzz(5000, GgufSeeds(), lengthAt: 8, path => GgufFile.Open(path));

    private void Fuzz(int count, List<byte[]> seeds, int lengthAt, Func<string, ITensorSource> open)
    {
        foreach (var seed in seeds) Assert.Null(Outcome(seed, open));
        var mutations = new Mutations(20261124, lengthAt);
        var outcomes = new Dictionary<string, int>();
        var started = Environment.TickCount64;
        for (var i = 0; i < count; i++)
        {
            var outcome = Outcome(mutations.Next(seeds), open) ?? "read";
            outcomes[outcome] = outcomes.GetValueOrDefault(outcome) + 1;
        }
        Assert.InRange(Environment.TickCount64 - started, 0, 120_000);
        Assert.Equal(count, outcomes.Values.Sum());
        // The files are neither all broken at the first byte nor all harmless.
        Assert.InRange(outcomes.GetValueOrDefault("read"), count / 50, count / 2);
        Assert.True(outcomes.Count >= 8, string.Join(", ", outcomes));
    }

    // The reason of the refusal, or null where the whole file was read. Any other exception fails the test.
    private string? Outcome(byte[] content, Func<string, ITensorSource> open)
    {
        var path = folder.File("fuzz");
        File.WriteAllBytes(path, content);
        try
        {
            using var source = open(path);
            using var scope = NewDisposeScope();
            foreach (var entry in source.Entries.Values) ReadAll(source, entry, content.Length);
            return null;
        }
        catch (InterpException e)
        {
            Assert.InRange(e.Message.Length, 1, 2000);
            return e.Reason;
        }
    }

    private static void ReadAll(ITensorSource source, TensorEntry entry, long fileLength)
    {
        Assert.InRange(entry.Offset, 0, fileLength - entry.Length);
        Assert.Equal(entry.Length, source.ReadBytes(entry.Name).numel());
        if (entry.Type.Torch() is { } dtype) Assert.Equal(dtype, source.Read(entry.Name).dtype);
        if (entry.Type is not (StorageType.C64 or StorageType.F4 or StorageType.F6_E2M3 or StorageType.F6_E3M2))
            Assert.Equal(entry.Shape, source.Read(entry.Name, ScalarType.Float32).shape);
    }

    private List<byte[]> SafeTensorsSeeds()
    {
        var path = folder.File("seed.safetensors");
        var declared = Enum.GetValues<StorageType>().Where(type => type != StorageType.Quantized)
            .Select((type, i) => new TensorDeclaration(type.ToString(), type, i % 3 == 0 ? [8] : [2, 4]));
        using (var writer = SafeTensorsWriter.Create(path, declared, new Dictionary<string, string> { ["format"] = "pt" }))
        {
            foreach (var entry in writer.Entries.Values) writer.WriteBytes(entry.Name, new byte[entry.Length]);
            writer.Commit();
        }
        var number = LiteralSafeTensors.Entry("a", "F32", "[]", "[0,4]");
        var empty = LiteralSafeTensors.Entry("b", "I64", "[0,5]", "[4,4]");
        // The last file ends with its page: whoever reads on, falls.
        var header = LiteralSafeTensors.Header("U8", "[4024]", "[0,4024]").PadRight(64);
        return
        [
            File.ReadAllBytes(path),
            LiteralSafeTensors.File(LiteralSafeTensors.Header("F32", "[2,3]", "[0,24]"), new byte[24]),
            LiteralSafeTensors.File(LiteralSafeTensors.Entries(number, empty), new byte[4]),
            LiteralSafeTensors.File(header, new byte[4096 - 8 - 64]),
        ];
    }

    private static List<byte[]> GgufSeeds()
    {
        var full = new GgufBuilder()
            .Pair("general.architecture", 8, "llama").Pair("general.alignment", 4, 32u).Pair("n", 10, 7UL).Pair("f", 6, 0.5f)
            .Pair("flag", 7, true).Pair("tokens", 9, 8u, 2UL, "a", "bc").Pair("types", 9, 5u, 3UL, 1, 2, 3).Pair("scores", 9, 6u, 1UL, 1f)
            .Pair("flags", 9, 7u, 2UL, true, false).Tensor("f32", 0, [4, 2], new byte[32]).Tensor("q4_1", 3, [64, 2], new byte[80])
            .Tensor("q8_0", 8, [32], new byte[34]).Tensor("f16", 1, [3], new byte[6]);
        // Ends with its page: whoever reads on, falls.
        var page = new GgufBuilder().Tensor("x", 24, [4032], new byte[4032]).Build();
        Assert.Equal(4096, page.Length);
        return [full.Build(), page, new GgufBuilder { Version = 2 }.Tensor("s", 28, [], new byte[8]).Build()];
    }
}
