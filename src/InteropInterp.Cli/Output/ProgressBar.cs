using Spectre.Console;

namespace InteropInterp.Cli.Output;

/// <summary>How far work is: a bar per kind of work on a terminal's standard error, nothing elsewhere.</summary>
internal sealed class ProgressBar
{
    private readonly ProgressContext? context;
    private readonly Dictionary<string, ProgressTask> tasks = [];

    private ProgressBar(ProgressContext? context) => this.context = context;

    public static T Run<T>(Func<ProgressBar, T> work)
    {
        if (Console.IsErrorRedirected) return work(new ProgressBar(null));
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return console.Progress().AutoClear(false)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(),
                new RemainingTimeColumn())
            .Start(progress => work(new ProgressBar(progress)));
    }

    /// <param name="kind">Which bar.</param>
    /// <param name="text">What it says; null: the kind.</param>
    public void Report(string kind, double done, double total, string? text = null)
    {
        if (context is null) return;
        if (!tasks.TryGetValue(kind, out var task)) tasks[kind] = task = context.AddTask(Markup.Escape(kind), maxValue: total);
        task.Value = done;
        if (text is not null) task.Description = Markup.Escape(text);
    }
}
