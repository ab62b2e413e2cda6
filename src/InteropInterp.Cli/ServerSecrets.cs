using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace InteropInterp.Cli;

/// <summary>What a server must not tell, read from files.</summary>
internal static class ServerSecrets
{
    private const UnixFileMode Others =
        UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    // What ServerOptions asks for, and what one line may hold.
    private const int ShortestToken = 16, LongestToken = 4096;

    /// <summary>The token, without the line's end.</summary>
    /// <exception cref="InterpException">FILE_NOT_FOUND; TOKEN_FILE_OPEN: others may read it; INVALID_TOKEN.</exception>
    public static string Token(string path)
    {
        if (!File.Exists(path)) throw InterpException.NotFound("FILE_NOT_FOUND", $"There is no token file '{path}'. Make one: (umask 077; openssl rand -hex 32 > '{path}').");
        if ((File.GetUnixFileMode(path) & Others) != 0)
            throw new InterpException(ErrorCode.PermissionDenied, "TOKEN_FILE_OPEN", $"Others may read '{path}', which holds the server's token: chmod 600 '{path}'.");
        var token = new FileInfo(path).Length <= LongestToken ? File.ReadAllText(path).Trim() : "";
        return token.Length >= ShortestToken && token.All(c => c is > ' ' and < '\x7f')
            ? token
            : throw InterpException.Invalid("INVALID_TOKEN", $"'{path}' must hold one token of {ShortestToken} to {LongestToken} letters, digits or signs, without spaces.");
    }

    /// <summary>A certificate with its private key.</summary>
    /// <exception cref="InterpException">INVALID_CERTIFICATE.</exception>
    public static X509Certificate2 Certificate(string path, string? key)
    {
        try
        {
            return X509Certificate2.CreateFromPemFile(path, key);
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new InterpException(ErrorCode.InvalidArgument, "INVALID_CERTIFICATE",
                $"'{path}' is no PEM certificate with its private key{(key is null ? "" : $" in '{key}'")}: {e.Message}", innerException: e);
        }
    }
}
