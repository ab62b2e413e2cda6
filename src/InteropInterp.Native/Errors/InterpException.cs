using System.Diagnostics.CodeAnalysis;

namespace InteropInterp;

/// <summary>
/// The engine's one error. It names the thing, says what was expected and found, and offers the nearest valid names;
/// <see cref="Code"/> maps one to one to a gRPC status and to a Python exception.
/// </summary>
public sealed class InterpException : Exception
{
    /// <param name="code">The kind of error.</param>
    /// <param name="reason">UPPER_SNAKE_CASE name of this very error, stable for programs to compare.</param>
    /// <param name="message">One or two sentences that name the thing, what was expected, and what to do.</param>
    /// <param name="suggestions">Valid names near the one that was given, nearest first.</param>
    /// <param name="innerException">What led to it.</param>
    public InterpException(
        ErrorCode code, string reason, string message, IReadOnlyList<string>? suggestions = null, Exception? innerException = null)
        : base(Compose(message, suggestions), innerException)
    {
        Code = code;
        Text = message;
        Reason = reason;
        Suggestions = suggestions ?? [];
    }

    public ErrorCode Code { get; }

    /// <summary>The message without the suggestions.</summary>
    public string Text { get; }

    /// <summary>The field of a request that is wrong: <c>plan.interventions[2].set.value</c>; null where it is none.</summary>
    public string? Field { get; init; }

    /// <summary>For example UNKNOWN_HOOK_POINT.</summary>
    public string Reason { get; }

    /// <summary>Valid names near the one that was given, nearest first; empty where that makes no sense.</summary>
    public IReadOnlyList<string> Suggestions { get; }

    private static string Compose(string message, IReadOnlyList<string>? suggestions) => suggestions is { Count: > 0 }
        ? $"{message} Did you mean {string.Join(" or ", suggestions.Select(s => $"'{s}'"))}?"
        : message;

    /// <summary>A value that is wrong in itself.</summary>
    public static InterpException Invalid(string reason, string message) => new(ErrorCode.InvalidArgument, reason, message);

    /// <summary>A name that does not exist; says which valid names are nearest, or which there are where none is near.</summary>
    public static InterpException Unknown(string reason, string what, string name, IEnumerable<string> valid)
    {
        const int Shown = 4;
        var names = valid.ToList();
        var near = NearestNames.Find(name, names);
        var some = near.Count > 0 ? "" : names.Count == 0 ? " There is none." : $" There are {string.Join(", ", names.Take(Shown).Select(n => $"'{n}'"))}{(names.Count > Shown ? $" and {names.Count - Shown} more" : "")}.";
        return new InterpException(ErrorCode.NotFound, reason, $"Unknown {what} '{name}'.{some}", near);
    }

    /// <summary>An index outside its range.</summary>
    public static InterpException OutOfRange(string reason, string message) => new(ErrorCode.OutOfRange, reason, message);

    /// <summary>Right in itself, but not in this state.</summary>
    public static InterpException Precondition(string reason, string message) => new(ErrorCode.FailedPrecondition, reason, message);

    /// <summary>A file whose content is not what its format says.</summary>
    public static InterpException DataLoss(string reason, string message, Exception? inner = null) =>
        new(ErrorCode.DataLoss, reason, message, innerException: inner);

    /// <summary>A file or a named thing that is not there.</summary>
    public static InterpException NotFound(string reason, string message) => new(ErrorCode.NotFound, reason, message);

    /// <summary>Throws <see cref="Invalid"/> unless <paramref name="condition"/> holds.</summary>
    public static void Require([DoesNotReturnIf(false)] bool condition, string reason, string message)
    {
        if (!condition) throw Invalid(reason, message);
    }
}
