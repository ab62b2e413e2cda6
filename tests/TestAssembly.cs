using InteropInterp.TestKit;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

// Tensors are counted per process, so tests run one after the other.
[assembly: Parallelization(Mode = ParallelMode.None)]
[assembly: NoTensorLeaks]
