using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace InteropInterp.Cli;

/// <summary>`interp --help`, which reads like git's; commands have the help of System.CommandLine.</summary>
internal static class HelpScreen
{
    public static void Install(RootCommand root, IReadOnlyList<(string Purpose, List<Command> Commands)> groups)
    {
        var option = root.Options.OfType<HelpOption>().Single();
        option.Action = new RootHelp(groups, (SynchronousCommandLineAction)option.Action!);
        root.SetAction(parsed =>
        {
            Write(parsed.InvocationConfiguration.Error, groups);
            return ExitCodes.Invalid;
        });
    }

    private static void Write(TextWriter output, IReadOnlyList<(string Purpose, List<Command> Commands)> groups)
    {
        var width = groups.SelectMany(g => g.Commands).Max(c => c.Name.Length);
        output.WriteLine("usage: interp [--version] [--help] <command> [<args>]");
        output.WriteLine();
        output.WriteLine("These are the interp commands:");
        foreach (var (purpose, commands) in groups)
        {
            output.WriteLine();
            output.WriteLine(purpose);
            foreach (var command in commands) output.WriteLine($"   {command.Name.PadRight(width)}   {command.Description}");
        }
        output.WriteLine();
        output.WriteLine("'interp <command> --help' tells more about one of them.");
        output.WriteLine($"Exit status: {ExitCodes.Explanation}.");
    }

    private sealed class RootHelp(IReadOnlyList<(string Purpose, List<Command> Commands)> groups, SynchronousCommandLineAction others)
        : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parsed)
        {
            if (parsed.CommandResult.Command is not RootCommand) return others.Invoke(parsed);
            Write(parsed.InvocationConfiguration.Output, groups);
            return ExitCodes.Done;
        }
    }
}
