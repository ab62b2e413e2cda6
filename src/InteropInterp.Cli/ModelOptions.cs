using System.CommandLine;
using InteropInterp.Models;
using InteropInterp.Native;

namespace InteropInterp.Cli;

/// <summary>What every command that loads a model is told about where and in what numbers it computes.</summary>
internal static class ModelOptions
{
    public static readonly Option<string> Device =
        new("--device", "-d") { Description = "cpu, cuda or cuda:N", HelpName = "DEVICE", DefaultValueFactory = _ => "cpu" };

    public static readonly Option<string> DataType = new("--dtype")
    {
        Description = "float32, float64; on CUDA also bfloat16, float16", HelpName = "TYPE", DefaultValueFactory = _ => "float32",
    };

    public static readonly Option<bool> Tf32 = new("--tf32") { Description = "multiply float32 matrices on CUDA in TF32: faster, less exact" };

    /// <summary>Adds the options to a command.</summary>
    public static Command WithModelOptions(this Command command)
    {
        command.Add(Device);
        command.Add(DataType);
        command.Add(Tf32);
        return command;
    }

    /// <summary>Loads libtorch as told, and says how models are to be loaded. A device or type that cannot be had is refused here.</summary>
    /// <exception cref="InterpException">UNKNOWN_DEVICE, DEVICE_NOT_PRESENT, UNKNOWN_DTYPE, DTYPE_NOT_COMPUTED.</exception>
    public static LoadOptions Of(ParseResult parsed)
    {
        var options = new LoadOptions { Device = DeviceOf(parsed), DataType = ComputeTypes.Of(parsed.GetValue(DataType)!) };
        ComputeTypes.Check(options.Device, options.DataType);
        return options;
    }

    /// <summary>Loads libtorch as told, and names the device.</summary>
    /// <exception cref="InterpException">UNKNOWN_DEVICE, DEVICE_NOT_PRESENT.</exception>
    public static string DeviceOf(ParseResult parsed)
    {
        LibTorch.Load(Libraries(parsed));
        return Devices.Name(Devices.Of(parsed.GetValue(Device)!));
    }

    /// <summary>How libtorch is to be loaded.</summary>
    public static LibTorchOptions Libraries(ParseResult parsed) =>
        parsed.GetValue(Tf32) ? new LibTorchOptions { Tf32 = true } : new LibTorchOptions();
}
