namespace InteropInterp.Cli;

/// <summary>What the exit status of `interp` means.</summary>
internal static class ExitCodes
{
    public const int Done = 0;

    /// <summary>An error of the engine itself, or a check that failed.</summary>
    public const int Internal = 1;

    /// <summary>A command line, an option or a file that is not as it must be.</summary>
    public const int Invalid = 2;

    public const int NotFound = 3;

    /// <summary>Right in itself, but not possible here or now.</summary>
    public const int NotPossible = 4;

    /// <summary>128 and the number of SIGINT, as shells have it.</summary>
    public const int Cancelled = 130;

    /// <summary>For `interp --help`.</summary>
    public const string Explanation =
        "0 done; 1 internal error, or a check failed; 2 wrong usage or input; 3 not found; 4 not possible here or now; 130 interrupted";

    public static int Of(ErrorCode code) => code switch
    {
        ErrorCode.Cancelled => Cancelled,
        ErrorCode.InvalidArgument or ErrorCode.OutOfRange or ErrorCode.DataLoss or ErrorCode.AlreadyExists => Invalid,
        ErrorCode.NotFound => NotFound,
        ErrorCode.Internal => Internal,
        _ => NotPossible,
    };
}
