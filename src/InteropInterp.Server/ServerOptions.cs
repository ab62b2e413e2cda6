using System.Net;
using System.Security.Cryptography.X509Certificates;
using InteropInterp.Plans.Execution;
using InteropInterp.Protocol.Tensors;
using Microsoft.Extensions.Logging;

namespace InteropInterp.Server;

/// <summary>Where a server listens, what it lets clients name, and how much it gives them.</summary>
public sealed record ServerOptions
{
    /// <summary>The port to listen on, HTTP/2; 0: one that is free; null: none.</summary>
    public int? Port { get; init; }

    /// <summary>Anything but loopback needs a <see cref="Token"/>, and should have a <see cref="Certificate"/>.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>A unix socket (mode 0600) in a folder of this user's alone, which is made if it is not there; null: none.</summary>
    public string? SocketPath { get; init; }

    /// <summary>What clients must send as "authorization: Bearer ..." over the port; null: nothing, on loopback only.</summary>
    public string? Token { get; init; }

    /// <summary>For TLS over the port; client certificates (mTLS) would be asked for where this is used.</summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>Folders that clients may load from.</summary>
    public IReadOnlyList<string> ModelRoots { get; init; } = [];

    /// <summary>Folders that clients may load from and save to.</summary>
    public IReadOnlyList<string> WritableRoots { get; init; } = [];

    /// <summary>Clients may load by name what lies in the local Hugging Face cache.</summary>
    public bool UseHuggingFaceCache { get; init; } = true;

    /// <summary>Where models and dictionaries are loaded of which a client does not say where: "cpu", "cuda:N".</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>Tell clients which methods there are (gRPC reflection).</summary>
    public bool Reflection { get; init; } = true;

    public ServerLimits Limits { get; init; } = new();

    /// <summary>Where logs go besides; null: the console alone.</summary>
    public Action<ILoggingBuilder>? Logging { get; init; }

    /// <summary>What tells the time for what expires.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;
}

/// <summary>How much a server gives; what goes beyond is refused before it is begun.</summary>
public sealed record ServerLimits
{
    /// <summary>Memory of one run, and how runs are cut.</summary>
    public ExecutionOptions Execution { get; init; } = new() { MemoryLimit = 16L << 30 };

    /// <summary>How long tensors are kept, and how many bytes of them.</summary>
    public TensorStoreOptions Tensors { get; init; } = new()
    {
        TimeToLive = TimeSpan.FromHours(1), SessionBytes = 8L << 30, TotalBytes = 16L << 30,
    };

    /// <summary>Bytes of all weights together; null: no limit.</summary>
    public long? ModelBytes { get; init; }

    public int Sessions { get; init; } = 256;

    /// <summary>Runs and loads of one session at a time.</summary>
    public int RunsPerSession { get; init; } = 16;

    /// <summary>Runs in hand at a device, begun or not.</summary>
    public int QueueLength { get; init; } = 128;

    /// <summary>How long a named session stays after its last call.</summary>
    public TimeSpan SessionGrace { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>A call that takes longer is ended; null: none is.</summary>
    public TimeSpan? CallDuration { get; init; }

    /// <summary>Of a request that may hold tensors.</summary>
    public int RequestBytes { get; init; } = 64 << 20;

    /// <summary>Of any other request.</summary>
    public int SmallRequestBytes { get; init; } = 4 << 20;

    /// <summary>What calls in progress are given to end when the server stops.</summary>
    public TimeSpan DrainTime { get; init; } = TimeSpan.FromSeconds(10);
}
