namespace InteropInterp.Studies;

/// <summary>How far a study is.</summary>
/// <param name="What">What is being done, in a few words.</param>
public readonly record struct StudyProgress(string What, int Done, int Total);
