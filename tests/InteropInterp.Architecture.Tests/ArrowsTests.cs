using ArchUnitNET.Domain;
using ArchUnitNET.Loader;
using ArchUnitNET.xUnitV3;
using static ArchUnitNET.Fluent.ArchRuleDefinition;
using Architecture = ArchUnitNET.Domain.Architecture;
using Assembly = System.Reflection.Assembly;

namespace InteropInterp.Architecture.Tests;

public class ArrowsTests
{
    // From the ground up: a project knows those that are named beside it, and no others of ours.
    private static readonly Dictionary<string, string[]> Projects = new()
    {
        ["InteropInterp.Native"] = [],
        ["InteropInterp"] = ["InteropInterp.Native"],
        ["InteropInterp.Dictionaries"] = ["InteropInterp.Native", "InteropInterp"],
        ["InteropInterp.Corpora"] = ["InteropInterp.Native", "InteropInterp"],
        ["InteropInterp.Protocol"] = ["InteropInterp.Native", "InteropInterp", "InteropInterp.Dictionaries", "InteropInterp.Corpora"],
        ["InteropInterp.Server"] =
        [
            "InteropInterp.Native", "InteropInterp", "InteropInterp.Dictionaries", "InteropInterp.Corpora", "InteropInterp.Protocol",
        ],
        ["InteropInterp.Python"] =
        [
            "InteropInterp.Native", "InteropInterp", "InteropInterp.Dictionaries", "InteropInterp.Corpora", "InteropInterp.Protocol",
        ],
        ["interp"] =
        [
            "InteropInterp.Native", "InteropInterp", "InteropInterp.Dictionaries", "InteropInterp.Corpora", "InteropInterp.Protocol",
            "InteropInterp.Server",
        ],
    };

    // What is built on plans.
    private static readonly string[] Analysis = ["Patching", "Caches", "Lenses", "Circuits", "Attribution", "Heads", "Training", "Streams", "Neurons", "Studies", "Reports"];

    // Within the engine: what a folder must not know of.
    private static readonly Dictionary<string, string[]> Folders = new()
    {
        ["Tensors"] = ["Tokens", "Models", "Hooks", "Plans", "Generation", .. Analysis],
        ["Hooks"] = ["Tensors", "Tokens", "Plans", "Generation", .. Analysis],
        ["Tokens"] = ["Hooks", "Plans", "Generation", .. Analysis],
        ["Models"] = ["Plans", "Generation", .. Analysis],
        ["Plans"] = [.. Analysis],
        ["Generation"] = [.. Analysis],
        ["Patching"] = ["Generation", "Caches", "Lenses", "Circuits", "Heads", "Training", "Attribution", "Streams", "Neurons", "Studies", "Reports"],
        ["Caches"] = ["Generation", "Patching", "Lenses", "Circuits", "Heads", "Training", "Attribution", "Streams", "Neurons", "Studies", "Reports"],
        ["Lenses"] = ["Patching", "Circuits", "Heads", "Attribution", "Streams", "Neurons", "Studies", "Reports"],
        ["Circuits"] = ["Generation", "Lenses", "Training", "Attribution", "Streams", "Neurons", "Studies", "Reports"],
        ["Heads"] = ["Patching", "Lenses", "Circuits", "Training", "Attribution", "Streams", "Neurons", "Studies", "Reports"],
        ["Attribution"] = ["Generation", "Caches", "Lenses", "Heads", "Training", "Streams", "Neurons", "Studies", "Reports"],
        ["Training"] = ["Patching", "Streams", "Neurons", "Studies", "Reports"],
        ["Streams"] = ["Generation", "Patching", "Caches", "Lenses", "Circuits", "Heads", "Attribution", "Neurons", "Studies", "Reports"],
        ["Neurons"] = ["Generation", "Caches", "Lenses", "Circuits", "Heads", "Attribution", "Training", "Streams", "Studies", "Reports"],
        ["Studies"] = ["Reports"],
    };

    private static readonly Assembly[] Assemblies = [.. Projects.Keys.Select(Assembly.Load)];
    private static readonly ArchUnitNET.Domain.Architecture House = new ArchLoader().LoadAssemblies(Assemblies).Build();

    public static TheoryData<string> ProjectNames => [.. Projects.Keys];

    public static TheoryData<string> FolderNames => [.. Folders.Keys];

    [Fact]
    public void Every_project_has_its_arrows_here()
    {
        var ours = Directory.GetFiles(AppContext.BaseDirectory, "InteropInterp*.dll").Select(Path.GetFileNameWithoutExtension)
            .Where(name => !name!.EndsWith(".Tests", StringComparison.Ordinal) && !name.EndsWith(".TestKit", StringComparison.Ordinal));
        Assert.Empty(ours.Except(Projects.Keys));
    }

    [Theory]
    [MemberData(nameof(ProjectNames))]
    public void A_project_knows_only_those_below_it(string name)
    {
        var known = Assembly.Load(name).GetReferencedAssemblies().Select(a => a.Name!).Where(Projects.ContainsKey);
        Assert.Empty(known.Except(Projects[name]));
        foreach (var above in Projects.Keys.Except([name, .. Projects[name]]))
            Types().That().ResideInAssembly(Assembly.Load(name)).Should()
                .NotDependOnAny(Types().That().ResideInAssembly(Assembly.Load(above))).Check(House);
    }

    [Theory]
    [MemberData(nameof(FolderNames))]
    public void A_folder_of_the_engine_knows_only_those_below_it(string name)
    {
        foreach (var above in Folders[name])
            Types().That().ResideInNamespaceMatching(Within(name)).Should()
                .NotDependOnAny(Types().That().ResideInNamespaceMatching(Within(above))).Check(House);
    }

    private static string Within(string folder) => $@"^InteropInterp\.{folder}(\.|$)";
}
