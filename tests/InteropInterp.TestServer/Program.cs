using InteropInterp.Server;

// SOCKET WRITABLE_ROOT [ROOT ...]
await using var host = await ServerHost.StartAsync(new ServerOptions
{
    Port = 0,
    SocketPath = args[0],
    WritableRoots = [args[1]],
    ModelRoots = args[2..],
});
Console.WriteLine($"addresses: {string.Join(' ', host.Addresses)}");
await Console.In.ReadToEndAsync();
