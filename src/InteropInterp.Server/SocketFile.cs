using System.Net.Sockets;
using InteropInterp.Native.Loading;

namespace InteropInterp.Server;

/// <summary>The place of a unix socket: whoever can write to its file can use the server.</summary>
internal static class SocketFile
{
    private const UnixFileMode Others =
        UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <summary>Makes the folder, for this user alone, and clears away what a server left that is no more.</summary>
    /// <returns>The socket's full path.</returns>
    /// <exception cref="InterpException">SOCKET_FOLDER_OPEN, SOCKET_IN_USE, SOCKET_PATH_TOO_LONG.</exception>
    public static string Prepare(string path)
    {
        path = Path.GetFullPath(path);
        // sockaddr_un has room for so many bytes.
        InterpException.Require(System.Text.Encoding.UTF8.GetByteCount(path) < 108, "SOCKET_PATH_TOO_LONG", $"The path of a unix socket has at most 107 bytes; '{path}' has more.");
        var folder = Path.GetDirectoryName(path)!;
        try
        {
            PrivateFolder.Make(folder);
            if ((File.GetUnixFileMode(folder) & Others) != 0) throw new UnauthorizedAccessException("others may enter it");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new InterpException(ErrorCode.PermissionDenied, "SOCKET_FOLDER_OPEN",
                $"The folder of the socket, '{folder}', must be this user's alone (mode 0700). Name one that is not there yet, and it is made so.", innerException: e);
        }
        if (!File.Exists(path)) return path;
        if (Answers(path)) throw new InterpException(ErrorCode.AlreadyExists, "SOCKET_IN_USE", $"Another server listens on '{path}'.");
        File.Delete(path);
        return path;
    }

    /// <summary>For this user alone, once it is there.</summary>
    public static void Close(string path) => File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);

    private static bool Answers(string path)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
