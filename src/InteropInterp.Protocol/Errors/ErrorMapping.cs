using System.Runtime.InteropServices;
using System.Text.Json;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Status = Google.Rpc.Status;

namespace InteropInterp.Protocol.Errors;

/// <summary>Between the engine's errors and google.rpc.Status, one to one: the code, and an ErrorInfo with reason and suggestions.</summary>
public static class ErrorMapping
{
    public const string Domain = "interopinterp";
    public const string Suggestions = "suggestions";

    /// <summary>Whatever was thrown, as the engine's error; what it is made of stays as its inner exception.</summary>
    public static InterpException ToInterp(Exception error) => error switch
    {
        InterpException e => e,
        OperationCanceledException => new InterpException(ErrorCode.Cancelled, "CANCELLED", "The call was cancelled.", innerException: error),
        OutOfMemoryException => new InterpException(ErrorCode.ResourceExhausted, "OUT_OF_MEMORY", error.Message, innerException: error),
        // CUDA's allocator and the CPU's, in libtorch's words.
        ExternalException e when e.Message.Contains("out of memory", StringComparison.Ordinal) || e.Message.Contains("can't allocate memory", StringComparison.Ordinal) =>
            new InterpException(ErrorCode.ResourceExhausted, "OUT_OF_MEMORY", FirstLine(e.Message), innerException: error),
        ExternalException => new InterpException(ErrorCode.Internal, "LIBTORCH_ERROR", FirstLine(error.Message), innerException: error),
        _ => new InterpException(ErrorCode.Internal, "INTERNAL_ERROR", $"{error.GetType().Name}: {error.Message}", innerException: error),
    };

    public static Status ToStatus(InterpException error)
    {
        var info = new ErrorInfo { Reason = error.Reason, Domain = Domain };
        if (error.Suggestions.Count > 0) info.Metadata[Suggestions] = JsonSerializer.Serialize(error.Suggestions);
        var status = new Status { Code = (int)error.Code, Message = error.Message, Details = { Any.Pack(info) } };
        if (error.Field is { } field)
            status.Details.Add(Any.Pack(new BadRequest { FieldViolations = { new BadRequest.Types.FieldViolation { Field = field, Description = error.Message } } }));
        return status;
    }

    public static RpcException ToRpc(InterpException error) => ToStatus(error).ToRpcException();

    /// <summary>What a server sent, as the error that it threw; UNAVAILABLE and the like from below gRPC have their code as reason.</summary>
    public static InterpException ToInterp(RpcException error)
    {
        var status = error.GetRpcStatus();
        var info = status?.GetDetail<ErrorInfo>();
        var code = System.Enum.IsDefined((ErrorCode)(int)error.StatusCode) ? (ErrorCode)(int)error.StatusCode : ErrorCode.Internal;
        if (info is null) return new InterpException(code, ReasonOf(error.StatusCode), error.Status.Detail, innerException: error);
        var suggestions = info.Metadata.TryGetValue(Suggestions, out var json) ? JsonSerializer.Deserialize<string[]>(json)! : [];
        // The message that was sent already ends with the suggestions.
        return new InterpException(code, info.Reason, WithoutSuggestions(status!.Message, suggestions), suggestions, error)
        {
            Field = status.GetDetail<BadRequest>()?.FieldViolations.FirstOrDefault()?.Field,
        };
    }

    private static string WithoutSuggestions(string message, string[] suggestions)
    {
        var tail = new InterpException(ErrorCode.Internal, "", "", suggestions).Message;
        return suggestions.Length > 0 && message.EndsWith(tail, StringComparison.Ordinal) ? message[..^tail.Length] : message;
    }

    private static string ReasonOf(StatusCode code) => JsonNamingPolicy.SnakeCaseUpper.ConvertName(code.ToString());

    // libtorch puts a C++ stack trace behind its message.
    private static string FirstLine(string message)
    {
        var end = message.IndexOf('\n', StringComparison.Ordinal);
        return end < 0 ? message : message[..end];
    }
}
