using System.CommandLine;
using InteropInterp;
using InteropInterp.Cli;

using var session = new Session();
var root = CommandTable.Build(session);
try
{
    var parsed = root.Parse(args);
    if (parsed.Errors.Count > 0) return UsageErrors.Report(parsed);
    return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (InterpException e)
{
    Console.Error.WriteLine($"interp: {e.Message}");
    return ExitCodes.Of(e.Code);
}
catch (OperationCanceledException)
{
    Console.Error.WriteLine("interp: interrupted.");
    return ExitCodes.Cancelled;
}
catch (Exception e)
{
    Console.Error.WriteLine($"interp: internal error: {e}");
    return ExitCodes.Internal;
}
