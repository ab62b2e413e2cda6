using System.Globalization;
using System.Security.Cryptography;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Tensors;

/// <summary>
/// Tensors in shared memory, for clients of the same user on the same machine. Names are random and made here alone: a client that
/// could choose them could have the server write over somebody else's memory.
/// </summary>
public static class SharedTensorFile
{
    private const string Folder = "/dev/shm";
    private const string Prefix = "interopinterp-";

    /// <summary>Writes a copy of a tensor to a new file that only this user can open.</summary>
    /// <exception cref="InterpException">NO_SHARED_MEMORY, SHARED_MEMORY_FULL.</exception>
    public static string Create(Tensor tensor)
    {
        if (!Directory.Exists(Folder))
            throw InterpException.Precondition("NO_SHARED_MEMORY", "This machine has no shared memory folder; read the tensor instead.");
        // The process's number, so that what a server left behind when it was killed can be told from what is in use.
        var path = Path.Combine(Folder, $"{Prefix}{Environment.ProcessId}-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16))}");
        try
        {
            using var file = new FileStream(path, new FileStreamOptions
            {
                Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
            foreach (var (block, skip) in TensorBlocks.Of(tensor, tensor.dtype, 0))
                using (block)
                {
                    var bytes = block.numel() * block.element_size();
                    for (var at = skip; at < bytes; at += 1 << 30)
                        file.Write(TensorBlocks.Bytes(block, at, (int)Math.Min(1 << 30, bytes - at)).Span);
                }
            return path;
        }
        catch (IOException e)
        {
            Unlink(path);
            throw new InterpException(ErrorCode.ResourceExhausted, "SHARED_MEMORY_FULL",
                $"The machine's shared memory has no room for {tensor.numel() * tensor.element_size() >> 20:N0} MiB; read the tensor instead.", innerException: e);
        }
    }

    /// <summary>Removes a file's name; whoever has mapped it keeps it.</summary>
    public static void Unlink(string path) => File.Delete(path);

    /// <summary>Removes what processes of this user left behind that are no more.</summary>
    public static void RemoveStale()
    {
        if (!Directory.Exists(Folder)) return;
        foreach (var path in Directory.EnumerateFiles(Folder, Prefix + "*"))
        {
            var parts = Path.GetFileName(path)[Prefix.Length..].Split('-');
            if (parts.Length != 2 || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var process)) continue;
            if (Directory.Exists($"/proc/{process}")) continue;
            try
            {
                File.Delete(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Another user's.
            }
        }
    }
}
