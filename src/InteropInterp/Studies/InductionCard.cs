using InteropInterp.Training;

namespace InteropInterp.Studies;

/// <summary>How an induction model was made and what it can do, as its training command measured it: written beside it.</summary>
public sealed record InductionCard
{
    /// <summary>The command that makes the same weights again, bit for bit on the same build and kind of processor.</summary>
    public required string Command { get; init; }

    public required long Seed { get; init; }
    public required long Steps { get; init; }

    /// <summary>Threads of an operator: another number sums in another order.</summary>
    public required int Threads { get; init; }

    /// <summary>Training loss in nats by step: the first, then every hundredth.</summary>
    public required IReadOnlyDictionary<long, float> LossByStep { get; init; }

    /// <summary>The first step whose loss is below 1; null where none is.</summary>
    public required long? FirstStepBelowOne { get; init; }

    public required double FirstLoss { get; init; }
    public required double RepeatLoss { get; init; }
    public required double RandomLoss { get; init; }

    /// <summary>Of each head of layer 0.</summary>
    public required IReadOnlyList<double> PreviousToken { get; init; }

    /// <summary>Of each head of layer 1.</summary>
    public required IReadOnlyList<double> Induction { get; init; }

    public required IReadOnlyList<Criterion> Acceptance { get; init; }

    /// <summary>What a model that has learnt to copy shows.</summary>
    /// <param name="Value">Null: never.</param>
    public sealed record Criterion(string What, double? Value, string Bound, bool IsMet);

    /// <param name="study">Of the finished model.</param>
    public static InductionCard Of(InductionTrainer trainer, InductionStudyResult study, string command)
    {
        var losses = trainer.Losses;
        var below = losses.Select((loss, i) => (loss, Step: i + 1L)).Where(x => x.loss < 1).Select(x => (long?)x.Step).FirstOrDefault();
        double[] previous = [.. study.Scores.PreviousToken.Take(study.Scores.Heads)];
        double[] induction = [.. study.Scores.Induction.Skip(study.Scores.Heads)];
        return new InductionCard
        {
            Command = command,
            Seed = trainer.Options.Seed,
            Steps = trainer.Step,
            Threads = TorchSharp.torch.get_num_threads(),
            LossByStep = losses.Select((loss, i) => (Step: i + 1L, loss)).Where(x => x.Step == 1 || x.Step % 100 == 0)
                .ToDictionary(x => x.Step, x => x.loss),
            FirstStepBelowOne = below,
            FirstLoss = study.FirstLoss,
            RepeatLoss = study.RepeatLoss,
            RandomLoss = study.RandomLoss,
            PreviousToken = previous,
            Induction = induction,
            Acceptance =
            [
                new("plateau: loss at step 100", losses.Count >= 100 ? losses[99] : null, "> 2.5", losses.Count >= 100 && losses[99] > 2.5),
                new("drop: first step with a loss below 1", below, "< 1500", below < 1500),
                new("loss where a segment comes again", study.RepeatLoss, "< 0.4", study.RepeatLoss < 0.4),
                new("best previous-token score in layer 0", previous.Max(), "> 0.6", previous.Max() > 0.6),
                new("best induction score in layer 1", induction.Max(), "> 0.5", induction.Max() > 0.5),
            ],
        };
    }
}
