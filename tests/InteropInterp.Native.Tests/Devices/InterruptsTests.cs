using InteropInterp.Native.Devices;

namespace InteropInterp.Native.Tests.Devices;

public class InterruptsTests
{
    [Fact]
    public void A_watch_sees_every_check_of_its_own_thread_until_it_ends()
    {
        var seen = new List<string>();
        Interrupts.Check();
        using (Interrupts.Watch(() => seen.Add("outer")))
        {
            Interrupts.Check();
            using (Interrupts.Watch(() => seen.Add("inner"))) Interrupts.Check();
            Interrupts.Check();
            var other = new Thread(() => Interrupts.Check());
            other.Start();
            other.Join();
        }
        Interrupts.Check();
        Assert.Equal(["outer", "inner", "outer"], seen);
    }

    [Fact]
    public void A_cancelled_token_ends_in_the_engines_own_error()
    {
        var error = Assert.Throws<InterpException>(() => Interrupts.Check(new CancellationToken(true)));
        Assert.Equal(ErrorCode.Cancelled, error.Code);
    }
}
