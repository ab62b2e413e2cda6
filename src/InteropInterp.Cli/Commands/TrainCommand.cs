using System.CommandLine;

namespace InteropInterp.Cli.Commands;

/// <summary>`interp train`: what can be trained is a command below it.</summary>
internal static class TrainCommand
{
    public static Command Create(Session session) => new("train", "train a model") { TrainInductionCommand.Create(session) };
}
