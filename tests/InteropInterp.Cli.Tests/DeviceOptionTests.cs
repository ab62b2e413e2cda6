namespace InteropInterp.Cli.Tests;

/// <summary>--device and --dtype, on every command that loads or trains a model.</summary>
public class DeviceOptionTests
{
    [Theory]
    [InlineData("doctor")]
    [InlineData("demo")]
    [InlineData("circuit", "ioi", "--model", "induction")]
    [InlineData("serve", "--port", "0")]
    [InlineData("convert", "induction", "converted")]
    [InlineData("train", "induction", "--steps", "1")]
    public void A_device_that_is_not_there_is_refused_with_what_there_is(params string[] command)
    {
        Assert.SkipWhen(InteropInterp.Models.Devices.Present().Count > 8, "this machine has eight cards");
        var r = Interp.Run([.. command, "--device", "cuda:7"]);
        Assert.Equal(4, r.ExitCode);
        Assert.Contains("'cuda:7' is not present", r.Error, StringComparison.Ordinal);
        Assert.Contains("cpu", r.Error, StringComparison.Ordinal);
        Assert.Contains("libtorch 2.", r.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_that_are_none_have_a_nearest()
    {
        var device = Interp.Run("doctor", "--device", "cuda0");
        Assert.Equal(3, device.ExitCode);
        Assert.Contains("'cuda:0'", device.Error, StringComparison.Ordinal);
        var type = Interp.Run("doctor", "--dtype", "float23");
        Assert.Equal(3, type.ExitCode);
        Assert.Contains("'float32'", type.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Half_types_are_refused_on_a_cpu_and_doubles_are_not()
    {
        var half = Interp.Run("demo", "--dtype", "bfloat16");
        Assert.Equal(2, half.ExitCode);
        Assert.Contains("fifty times slower", half.Error, StringComparison.Ordinal);
        Assert.Equal(0, Interp.Run("doctor", "--dtype", "float64", "--device", "cpu", "--json").ExitCode);
    }
}
