using System.Runtime.InteropServices;

namespace InteropInterp.Native.Interop;

/// <summary>The variables that native libraries read as they load: .NET keeps a table of its own, which they do not see.</summary>
internal static partial class NativeEnvironment
{
    /// <summary>A variable's value, unless the user has given it one.</summary>
    public static void Default(string name, string value) => _ = SetVariable(name, value, overwrite: 0);

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
