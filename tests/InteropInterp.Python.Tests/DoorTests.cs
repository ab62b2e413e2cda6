using System.Text;
using System.Text.Json;
using InteropInterp.Native.Devices;

namespace InteropInterp.Python.Tests;

public class DoorTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private static (int Code, string Reply) Call(Door door, string method, string request = "")
    {
        var code = door.Call(door.NumberOf(method), Encoding.UTF8.GetBytes(request), out var reply, out var pending);
        door.Host.Drop(pending);
        return (code, Encoding.UTF8.GetString(reply));
    }

    private static string Reason(string reply) => JsonDocument.Parse(reply).RootElement.GetProperty("reason").GetString()!;

    // Steps until something stops it: it fails the test by itself after ten seconds.
    private static byte[] Endless(ReadOnlySpan<byte> request, CallContext context)
    {
        var end = DateTime.UtcNow + Patience;
        context.Door.Lease.Run(() => DateTime.UtcNow < end);
        return [];
    }

    [Fact]
    public void Bytes_go_in_and_out_by_method()
    {
        var door = FakePython.Open(new CallTable().Add("a.Reverse", (request, _) =>
        {
            var reply = request.ToArray();
            Array.Reverse(reply);
            return reply;
        }));
        Assert.Equal((0, "olleh"), Call(door, "a.Reverse", "hello"));
        var error = Assert.Throws<InterpException>(() => door.NumberOf("a.Revers"));
        Assert.Equal(["a.Reverse"], error.Suggestions);
        Assert.Equal((int)ErrorCode.NotFound, door.Call(7, [], out _, out _));
    }

    [Fact]
    public void An_error_is_a_code_and_its_story()
    {
        var door = FakePython.Open(new CallTable()
            .Add("Known", (_, _) => throw new InterpException(ErrorCode.OutOfRange, "NO_SUCH_LAYER", "There are 2 layers.", ["1"]))
            .Add("Unknown", (_, _) => throw new FormatException("bad digits"))
            .Add("Cancelled", (_, _) => throw new OperationCanceledException()));
        var (code, reply) = Call(door, "Known");
        Assert.Equal((int)ErrorCode.OutOfRange, code);
        var story = JsonDocument.Parse(reply).RootElement;
        Assert.Equal("There are 2 layers. Did you mean '1'?", story.GetProperty("message").GetString());
        Assert.Equal("1", story.GetProperty("suggestions")[0].GetString());
        Assert.Contains(nameof(DoorTests), story.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal(((int)ErrorCode.Internal, "INTERNAL_ERROR"), (Call(door, "Unknown").Code, Reason(Call(door, "Unknown").Reply)));
        Assert.Equal(((int)ErrorCode.Cancelled, "CANCELLED"), (Call(door, "Cancelled").Code, Reason(Call(door, "Cancelled").Reply)));
    }

    [Fact]
    public void A_callback_gets_and_gives_bytes_and_its_exception_ends_the_call()
    {
        var door = FakePython.Open(new CallTable().Add("Back", (request, context) => context.CallBack(5, request)));
        FakePython.Callable = (id, request) => [(byte)('0' + id), .. request];
        Assert.Equal((0, "5abc"), Call(door, "Back", "abc"));
        FakePython.Callable = (_, _) => null;
        Assert.Equal((Door.CallbackFailed, ""), Call(door, "Back"));
    }

    [Fact]
    public void A_handler_that_goes_on_after_a_callback_failed_has_no_result()
    {
        var door = FakePython.Open(new CallTable().Add("Swallow", (_, context) =>
        {
            Assert.Throws<InterpException>(() => context.CallBack(1, []));
            return "fine"u8.ToArray();
        }));
        FakePython.Callable = (_, _) => null;
        Assert.Equal((Door.CallbackFailed, ""), Call(door, "Swallow"));
    }

    [Fact]
    public void A_callback_may_call_again()
    {
        Door? door = null;
        door = FakePython.Open(new CallTable()
            .Add("Outer", (_, context) => context.CallBack(1, []))
            .Add("Inner", (_, context) =>
            {
                Assert.True(context.Door.Lease.Waiting == 0);
                return "inner"u8.ToArray();
            }));
        FakePython.Callable = (_, _) => Encoding.UTF8.GetBytes(Call(door, "Inner").Reply);
        Assert.Equal((0, "inner"), Call(door, "Outer"));
    }

    [Fact]
    public void A_failure_within_a_callback_that_the_callback_gets_over_is_not_the_outer_calls()
    {
        Door? door = null;
        door = FakePython.Open(new CallTable()
            .Add("Outer", (_, context) => context.CallBack(1, []))
            .Add("Inner", (_, context) => context.CallBack(2, [])));
        var inner = 0;
        FakePython.Callable = (id, _) =>
        {
            if (id == 2) return null;
            inner = Call(door, "Inner").Code;
            return "went on"u8.ToArray();
        };
        Assert.Equal((0, "went on"), Call(door, "Outer"));
        Assert.Equal(Door.CallbackFailed, inner);
    }

    [Fact]
    public void A_callback_is_not_called_on_another_thread()
    {
        var door = FakePython.Open(new CallTable().Add("Stray", (_, context) =>
        {
            InterpException? error = null;
            var thread = new Thread(() => error = Assert.Throws<InterpException>(() => context.CallBack(1, [])));
            thread.Start();
            thread.Join();
            throw error!;
        }));
        Assert.Equal("CALLBACK_OFF_THREAD", Reason(Call(door, "Stray").Reply));
    }

    [Fact]
    public void What_a_signal_handler_raises_stops_the_steps_and_is_handed_out_once()
    {
        var door = FakePython.Open(new CallTable().Add("Endless", Endless));
        FakePython.SignalRaises = true;
        var code = door.Call(0, [], out _, out var pending);
        Assert.Equal((Door.Interrupted, new PendingException(1, 2, 3)), (code, pending));
        Assert.Equal((1, 3), (FakePython.SignalChecks, FakePython.References));
        door.Host.Drop(pending);
        Assert.Equal(0, FakePython.References);
        Assert.False(door.Lease.IsHeld);
    }

    [Fact]
    public void Signals_are_asked_for_only_on_the_main_thread_and_not_at_every_step()
    {
        var steps = 0;
        byte[] Count(ReadOnlySpan<byte> request, CallContext context)
        {
            var end = Environment.TickCount64 + 200;
            for (; Environment.TickCount64 < end; steps++) Interrupts.Check();
            return [];
        }
        Assert.Equal(0, Call(FakePython.Open(new CallTable().Add("Count", Count), onMainThread: false), "Count").Code);
        Assert.Equal(0, FakePython.SignalChecks);
        Assert.Equal(0, Call(FakePython.Open(new CallTable().Add("Count", Count)), "Count").Code);
        Assert.InRange(FakePython.SignalChecks, 2, 11);
        Assert.True(steps > 1000);
    }

    [Fact]
    public void Closing_ends_calls_at_their_next_step_and_waits_for_them()
    {
        using var begun = new ManualResetEventSlim();
        var door = FakePython.Open(new CallTable()
            .Add("Endless", (request, context) =>
            {
                begun.Set();
                return Endless(request, context);
            })
            .Add("Back", (_, context) => context.CallBack(1, [])));
        var code = 0;
        var thread = new Thread(() => code = Call(door, "Endless").Code);
        thread.Start();
        Assert.True(begun.Wait(Patience));
        door.Close(5000);
        Assert.True(thread.Join(100), "Close did not wait");
        Assert.Equal((int)ErrorCode.Cancelled, code);
        Assert.Equal("CLOSING", Reason(Call(door, "Back").Reply));
    }

    [Fact]
    public void The_doors_own_methods_check_their_requests()
    {
        var door = FakePython.Open(DoorMethods.Register(new CallTable()));
        Assert.Equal((0, "hello"), Call(door, "door.Ping", "hello"));
        Assert.Equal("BAD_REQUEST", Reason(Call(door, "door.MatMul", "short").Reply));
        Assert.Equal("UNKNOWN_TENSOR", Reason(Call(door, "door.MatMul", new string('\u0001', 16)).Reply));
        Assert.Equal("BAD_SIZE", Reason(Call(door, "door.Gemm", new string('\0', 16)).Reply));
        Assert.Equal("fake", JsonDocument.Parse(Call(door, "door.Info").Reply).RootElement.GetProperty("door").GetString());
    }
}
