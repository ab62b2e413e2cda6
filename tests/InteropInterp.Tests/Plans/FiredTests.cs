using InteropInterp.Generation;
using InteropInterp.Hooks;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;

namespace InteropInterp.Tests.Plans;

/// <summary>What cannot fire is refused before running; what could and did not is an error; filters are only reported.</summary>
public class FiredTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5]), new([9, 2, 6, 5, 3])];

    [Fact]
    public void Every_answer_lists_what_fired_how_often_and_where()
    {
        using var model = TinyModels.Make("gpt2");
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Interventions =
            [
                new("blocks.*.hook_mlp_out", new ZeroOp()),
                new("blocks.1.hook_resid_pre", new ScaleOp(2)) { Where = new Selector { Rows = Positions.At(1) } },
            ],
        });
        Assert.Equal(6, run.Fired[0].Count);
        Assert.Equal(["blocks.0.hook_mlp_out", "blocks.1.hook_mlp_out", "blocks.2.hook_mlp_out"], run.Fired[0].Points);
        Assert.Equal(("scale", 1L), (run.Fired[1].Op, run.Fired[1].Count));
    }

    [Theory]
    [InlineData("blocks.2.hook_resid_pre", 2, null), InlineData("ln_final.hook_scale", 2, null), InlineData("blocks.3.hook_resid_pre", null, null)]
    public void A_name_that_cannot_fire_is_refused_before_running(string point, int? stop, int? start)
    {
        using var model = TinyModels.Make("gpt2");
        var error = Assert.Throws<InterpException>(() => PlanRunner.Check(model, new Plan
        {
            Rows = Rows,
            StopAtLayer = stop,
            StartAtLayer = start,
            Interventions = [new(point, new ZeroOp())],
        }));
        Assert.Contains(error.Reason, new[] { "HOOK_POINT_SILENT", "UNKNOWN_HOOK_POINT" });
    }

    [Fact]
    public void What_could_have_fired_and_did_not_is_an_error_unless_it_is_a_filter()
    {
        using var model = TinyModels.Make("gpt2");
        // Both rows stop at the first new token, so step 3 never comes.
        using var probe = PlanRunner.Run(model, new Plan { Rows = Rows, Generation = new GenerationOptions { MaxNewTokens = 1, Sample = false } });
        Plan Plan(Intervention intervention) => new()
        {
            Rows = Rows,
            Generation = new GenerationOptions { MaxNewTokens = 5, Sample = false, StopTokens = [.. probe.Tokens!.Select(t => t[^1])] },
            Interventions = [intervention],
        };
        var late = new Selector { FromStep = 3 };
        var error = Assert.Throws<InterpException>(() => PlanRunner.Run(model, Plan(new("blocks.1.hook_resid_pre", new ZeroOp()) { Where = late })));
        Assert.Equal("INTERVENTION_DID_NOT_FIRE", error.Reason);
        using var filter = PlanRunner.Run(model, Plan(new("blocks.*.hook_resid_pre", new ZeroOp()) { Where = late }));
        Assert.Equal((0L, true), (filter.Fired[0].Count, filter.Fired[0].IsOptional));
        using var permanent = PlanRunner.Run(model, Plan(new("blocks.1.hook_resid_pre", new ZeroOp()) { Where = late, IsOptional = true }));
        Assert.Equal(0, permanent.Fired[0].Count);
    }

    [Theory]
    [InlineData("blocks.0.attn.hook_result", "use_attn_result is off"), InlineData("blocks.0.hook_q_input", "use_split_qkv_input is off")]
    [InlineData("blocks.0.hook_attn_in", "use_attn_in is off"), InlineData("blocks.0.hook_mlp_in", "use_hook_mlp_in is off")]
    [InlineData("hook_tokens", "use_hook_tokens is off"), InlineData("blocks.0.attn.hook_rot_q", "no rotary positions")]
    public void A_point_whose_flag_is_off_says_so(string point, string reason)
    {
        using var model = TinyModels.Make("gpt2");
        foreach (var plan in new[]
        {
            new Plan { Rows = Rows, Captures = [new Capture(point)] },
            new Plan { Rows = Rows, Interventions = [new(point, new ScaleOp(1))] },
            new Plan { Rows = Rows, Captures = [new Capture(point.Replace("0", "*"))] },
        })
        {
            if (plan.Captures.Any(c => c.Point == "hook_tokens") && plan.Captures[0].Point.Contains('*')) continue;
            var error = Assert.Throws<InterpException>(() => PlanRunner.Run(model, plan));
            Assert.Equal("HOOK_POINT_SILENT", error.Reason);
            Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Unknown_names_come_with_the_nearest_valid_ones()
    {
        using var model = TinyModels.Make("gpt2");
        var error = Assert.Throws<InterpException>(() => PlanRunner.Run(model, new Plan { Rows = Rows, Captures = [new Capture("blocks.1.attn.hook_patern")] }));
        Assert.Equal((ErrorCode.NotFound, "UNKNOWN_HOOK_POINT"), (error.Code, error.Reason));
        Assert.Equal("blocks.1.attn.hook_pattern", error.Suggestions[0]);
        error = Assert.Throws<InterpException>(() => PlanRunner.Run(model, new Plan { Rows = Rows, Captures = [new Capture("blocks.*.nothing")] }));
        Assert.Equal("UNKNOWN_HOOK_POINT", error.Reason);
    }

    [Fact]
    public void Flags_that_exclude_each_other_or_the_model_are_refused()
    {
        using var llama = TinyModels.Make("llama");
        using var attention = TinyModels.Make("attention");
        void Refused(InteropInterp.Models.TransformerModel model, ModelFlags flags) =>
            Assert.Equal("FLAG_NOT_POSSIBLE", Assert.Throws<InterpException>(() => PlanRunner.Run(model, new Plan { Rows = Rows, Flags = flags })).Reason);
        Refused(llama, new ModelFlags { UseAttnIn = true });
        Refused(attention, new ModelFlags { UseHookMlpIn = true });
        Refused(attention, new ModelFlags { UseAttnIn = true, UseSplitQkvInput = true });
    }
}
