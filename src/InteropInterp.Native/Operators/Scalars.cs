using TorchSharp;

namespace InteropInterp.Native.Operators;

/// <summary>
/// Scalars that live as long as the process. An implicit Scalar has a finaliser and no scope: the collector may free it while
/// the native call reads it. Computed values: <c>using var s = value.ToScalar();</c>.
/// </summary>
public static class Scalars
{
    public static readonly Scalar Zero = 0.0.ToScalar();
    public static readonly Scalar One = 1.0.ToScalar();
    public static readonly Scalar MinusOne = (-1.0).ToScalar();
    public static readonly Scalar Two = 2.0.ToScalar();
    public static readonly Scalar Half = 0.5.ToScalar();
    public static readonly Scalar NegativeInfinity = double.NegativeInfinity.ToScalar();
    public static readonly Scalar IntegerZero = 0L.ToScalar();
    public static readonly Scalar IntegerOne = 1L.ToScalar();
}
