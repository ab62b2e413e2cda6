using System.Reflection;
using InteropInterp.Native.Operators;
using Xunit;
using Xunit.v3;

namespace InteropInterp.TestKit;

/// <summary>
/// On an assembly: the body of every test starts from the same random state and must leave as many live tensors as it found.
/// Tensors that a fixture keeps (a model shared by tests) must be made before the first test counts: in the fixture's constructor.
/// </summary>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class NoTensorLeaksAttribute : BeforeAfterTestAttribute
{
    private const long Seed = 0;

    private long before;

    public override void Before(MethodInfo methodUnderTest, IXunitTest test)
    {
        Native.LibTorch.Load();
        // What fails, fails again when it is run alone: the numbers a test draws do not depend on the tests before it.
        TorchSharp.torch.manual_seed(Seed);
        before = LiveTensors.Count;
    }

    public override void After(MethodInfo methodUnderTest, IXunitTest test)
    {
        var after = LiveTensors.Count;
        Assert.True(after <= before, $"{test.TestDisplayName} leaves {after - before} live tensors behind.");
    }
}
