using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace InteropInterp.Cli.Output;

/// <summary>Tables on the terminal.</summary>
internal static class Tables
{
    /// <param name="columns">Headings; all but the first are set to the right.</param>
    public static Table Of(params string[] columns)
    {
        var table = new Table { Border = TableBorder.Simple };
        for (var i = 0; i < columns.Length; i++)
        {
            var column = new TableColumn(Markup.Escape(columns[i]));
            table.AddColumn(i == 0 ? column.LeftAligned() : column.RightAligned());
        }
        return table;
    }

    public static void Add(this Table table, params string[] cells) => table.AddRow([.. cells.Select(c => (IRenderable)new Text(c))]);

    public static string Number(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);

    /// <summary>A line of its own, as it stands.</summary>
    public static void Line(this IAnsiConsole console, string text) => console.WriteLine(text);

    /// <summary>A table under its title.</summary>
    public static void Titled(this IAnsiConsole console, string title, Table table)
    {
        console.WriteLine();
        console.WriteLine(title);
        console.Write(table);
    }
}
