using System.Reflection;
using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Protocol.Handlers;

/// <summary>Tells what this engine is, and ends sessions.</summary>
public sealed class ServerHandlers(Workspace workspace)
{
    /// <summary>Raised when an older client could misread a newer server.</summary>
    public const int ProtocolRevision = 1;

    private static readonly string Version = typeof(Plans.Plan).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    public ValueTask<GetServerInfoResponse> GetServerInfo(GetServerInfoRequest request, HandlerContext context)
    {
        var torch = Native.LibTorch.Load();
        workspace.Tensors.Drain();
        return new(new GetServerInfoResponse
        {
            Version = Version,
            ProtocolRevision = ProtocolRevision,
            Capabilities = { Capabilities() },
            Devices = { Devices.Present() },
            Libtorch = new LibTorch
            {
                Version = torch.Version,
                Origin = torch.Origin,
                Folder = workspace.IsInProcess ? torch.Folder : "",
                IsPrivate = torch.IsPrivate,
                IsRepaired = torch.IsRepaired,
                Threads = torch.Threads,
            },
            MemoryLimitBytes = workspace.Options.MemoryLimit ?? 0,
            LiveTensors = LiveTensors.Count,
            TensorQuotaBytes = workspace.Tensors.Options.SessionBytes ?? 0,
            MaxRequestBytes = workspace.MaxRequestBytes ?? 0,
        });
    }

    public static ValueTask<EndSessionResponse> EndSession(EndSessionRequest request, HandlerContext context)
    {
        context.Session.Release();
        return new(new EndSessionResponse());
    }

    private IEnumerable<string> Capabilities() => workspace.IsInProcess ? ["dictionaries", "callbacks"] : ["dictionaries", "streams", "shared_memory", "callback_sweeps"];
}
