using System.CommandLine;

namespace InteropInterp.Cli.Commands;

/// <summary>`interp circuit`: the behaviours whose circuit can be found are commands below it.</summary>
internal static class CircuitCommand
{
    public static Command Create(Session session) => new("circuit", "find the circuit of a behaviour in a model") { CircuitIoiCommand.Create(session) };
}
