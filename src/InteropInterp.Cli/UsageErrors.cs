using System.CommandLine;

namespace InteropInterp.Cli;

/// <summary>Says what is wrong with a command line, as git does.</summary>
internal static class UsageErrors
{
    public static int Report(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var path = Path(parsed.CommandResult);
        if (command.Subcommands.Count > 0 && parsed.UnmatchedTokens is [var word, ..])
        {
            Console.Error.WriteLine($"interp: '{word}' is not an {path} command. See '{path} --help'.");
            var near = NearestNames.Find(word, command.Subcommands.Select(c => c.Name));
            if (near.Count > 0)
            {
                Console.Error.WriteLine($"\nThe most similar command{(near.Count == 1 ? " is" : "s are")}");
                foreach (var name in near) Console.Error.WriteLine($"\t{name}");
            }
            return ExitCodes.Invalid;
        }
        foreach (var error in parsed.Errors) Console.Error.WriteLine($"interp: {error.Message}");
        Console.Error.WriteLine($"See '{path} --help'.");
        return ExitCodes.Invalid;
    }

    private static string Path(System.CommandLine.Parsing.SymbolResult? result) => result switch
    {
        System.CommandLine.Parsing.CommandResult { Command: not RootCommand } c => $"{Path(c.Parent)} {c.Command.Name}",
        _ => "interp",
    };
}
