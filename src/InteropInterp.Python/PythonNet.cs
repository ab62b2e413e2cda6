namespace InteropInterp.Python;

/// <summary>
/// The door as plain static methods, for pythonnet: <c>clr.AddReference(...); from InteropInterp.Python import PythonNet</c>.
/// Each call costs what pythonnet's method binding costs, about ten times a C function's; the client therefore takes
/// the C functions here too, and these methods are for code that already lives in pythonnet's world.
/// </summary>
public static class PythonNet
{
    /// <summary>What a call gave: <see cref="Code"/> 0 and the reply, or an error.</summary>
    /// <param name="Code">0, a gRPC status code, -1 when a Python callable raised, -2 when a signal handler did.</param>
    /// <param name="Reply">Reply bytes, or the error as JSON {reason, message, suggestions, detail}.</param>
    public sealed record Result(int Code, byte[] Reply);

    /// <summary>Fills in the addresses of the C functions: see <see cref="Exports.Table"/>.</summary>
    public static int Table(long functions, int size, int revision) => Exports.Fill(new IntPtr(functions), size, revision);

    /// <summary>Runs a method on the calling thread, once the Python client has opened the door.</summary>
    public static Result Call(string method, byte[] request)
    {
        try
        {
            var door = Exports.Door ?? throw Exports.NotOpen();
            var code = door.Call(door.NumberOf(method), request, out var reply, out var pending);
            // Nobody here could raise it as itself.
            door.Host.Drop(pending);
            return new Result(code, reply);
        }
        catch (Exception e)
        {
            var reply = ErrorReply.Write(e, out var code);
            return new Result(code, reply);
        }
    }
}
