using System.CommandLine;
using InteropInterp.Cli.Commands;

namespace InteropInterp.Cli;

/// <summary>The commands there are, grouped as `interp --help` lists them.</summary>
internal static class CommandTable
{
    private static readonly (string Purpose, Func<Session, Command>[] Commands)[] Groups =
    [
        ("look inside a model", [DemoCommand.Create, CircuitCommand.Create]),
        ("let other programs in", [ServeCommand.Create]),
        ("make and change models", [TrainCommand.Create, ConvertCommand.Create]),
        ("find out what is wrong", [DoctorCommand.Create]),
    ];

    public static RootCommand Build(Session session)
    {
        var groups = Groups.Select(g => (g.Purpose, Commands: g.Commands.Select(create => create(session)).ToList())).ToList();
        var root = new RootCommand("Look inside transformers and change them.");
        foreach (var command in groups.SelectMany(g => g.Commands)) root.Add(command);
        HelpScreen.Install(root, groups);
        return root;
    }
}
