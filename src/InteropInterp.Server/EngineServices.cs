using Grpc.AspNetCore.Server.Model;
using Grpc.Reflection;
using InteropInterp.Dictionaries;
using InteropInterp.Models;
using InteropInterp.Protocol;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.Methods;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Calls;
using InteropInterp.Server.Methods;
using InteropInterp.Server.Security;
using InteropInterp.Server.Sessions;
using InteropInterp.Server.Work;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace InteropInterp.Server;

/// <summary>What a server is made of.</summary>
internal static class EngineServices
{
    private static readonly Google.Protobuf.Reflection.ServiceDescriptor[] Services =
    [
        ModelService.Descriptor, TokenService.Descriptor, RunService.Descriptor, AnalysisService.Descriptor, CircuitService.Descriptor,
        WeightService.Descriptor, HeadService.Descriptor, LensService.Descriptor, ProgressService.Descriptor, TensorService.Descriptor,
        DictionaryService.Descriptor, StreamService.Descriptor, NeuronService.Descriptor, ServerService.Descriptor,
    ];

    public static void AddEngine(this IServiceCollection services, ServerOptions options)
    {
        var limits = options.Limits;
        services.AddLogging(logging =>
        {
            logging.AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.TimestampFormat = "HH:mm:ss ";
            });
            logging.AddFilter("Microsoft", LogLevel.Warning).AddFilter("Grpc", LogLevel.Warning);
            options.Logging?.Invoke(logging);
        });
        // Standard output belongs to whoever started the server.
        services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        services.Configure<HostOptions>(host => host.ShutdownTimeout = limits.DrainTime);
        services.Configure<ConsoleLifetimeOptions>(console => console.SuppressStatusMessages = true);
        services.AddRouting();
        services.AddSingleton(options).AddSingleton(limits).AddSingleton(options.Clock);
        services.AddSingleton(new ModelRoots(options.ModelRoots, options.WritableRoots, options.UseHuggingFaceCache));
        services.AddSingleton(_ => new TensorStore(limits.Tensors, options.Clock));
        services.AddSingleton(_ => new DeviceWorkers(limits.QueueLength));
        services.AddSingleton<SessionRegistry>().AddSingleton<CallGate>().AddHostedService<Housekeeping>();
        services.AddSingleton(provider => new MethodTable(new Workspace
        {
            Tensors = provider.GetRequiredService<TensorStore>(),
            Work = provider.GetRequiredService<DeviceWorkers>(),
            Models = new ModelStore(limits.ModelBytes),
            Dictionaries = new DictionaryStore(),
            Roots = provider.GetRequiredService<ModelRoots>(),
            Options = limits.Execution,
            Device = options.Device,
            MaxRequestBytes = limits.RequestBytes,
        }));
        services.AddGrpc(grpc => grpc.Interceptors.Add<BearerToken>());
        services.AddSingleton<BearerToken>();
        Offer<SmallRequests>(services, limits.SmallRequestBytes);
        Offer<LargeRequests>(services, limits.RequestBytes);
        services.AddGrpcHealthChecks(health =>
        {
            foreach (var service in Services) health.Services.Map(service.FullName, _ => true);
        }).AddCheck<Running>("engine");
        if (!options.Reflection) return;
        // Methods come from a table, so reflection would not find the descriptors by itself.
        services.AddSingleton(new ReflectionServiceImpl(Services));
        services.AddGrpcReflection();
    }

    public static void MapEngine(this WebApplication app, ServerOptions options)
    {
        app.MapGrpcService<SmallRequests>();
        app.MapGrpcService<LargeRequests>();
        app.MapGrpcHealthChecksService();
        if (options.Reflection) app.MapGrpcReflectionService();
    }

    private static void Offer<TService>(IServiceCollection services, int requestBytes)
        where TService : class
    {
        services.AddSingleton<TService>();
        services.AddSingleton<IServiceMethodProvider<TService>, Endpoints<TService>>();
        services.AddGrpc().AddServiceOptions<TService>(service => service.MaxReceiveMessageSize = requestBytes);
    }

    private sealed class Running(IHostApplicationLifetime lifetime) : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
            Task.FromResult(lifetime.ApplicationStopping.IsCancellationRequested ? HealthCheckResult.Unhealthy("stopping") : HealthCheckResult.Healthy());
    }
}
