using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>
/// AB of A [..., ldim, mdim] and B [..., mdim, rdim], never multiplied out where that is not needed; leading axes broadcast
/// (TransformerLens's FactoredMatrix). Everything it gives, itself included, belongs to the scope in which it is made.
/// </summary>
public sealed class FactoredMatrix
{
    /// <exception cref="InterpException">FACTORS_DO_NOT_MATCH, NOT_A_MATRIX.</exception>
    public FactoredMatrix(Tensor a, Tensor b)
    {
        var (left, right) = (a.shape, b.shape);
        foreach (var shape in new[] { left, right })
            InterpException.Require(shape.Length >= 2, "NOT_A_MATRIX", $"A factor is {shape.Shown()}; [..., rows, columns] is expected.");
        InterpException.Require(left[^1] == right[^2], "FACTORS_DO_NOT_MATCH",
            $"A is {left.Shown()} and B {right.Shown()}: A's last axis ({left[^1]}) must be as long as B's last but one ({right[^2]}).");
        var leading = Leading(left[..^2], right[..^2]);
        (Rows, Middle, Columns) = (left[^2], left[^1], right[^1]);
        A = a.expand([.. leading, Rows, Middle]);
        B = b.expand([.. leading, Middle, Columns]);
        Shape = [.. leading, Rows, Columns];
    }

    /// <summary>[..., ldim, mdim].</summary>
    public Tensor A { get; }

    /// <summary>[..., mdim, rdim].</summary>
    public Tensor B { get; }

    /// <summary>ldim.</summary>
    public long Rows { get; }

    /// <summary>mdim: the rank is at most this.</summary>
    public long Middle { get; }

    /// <summary>rdim.</summary>
    public long Columns { get; }

    /// <summary>Of the product: [..., ldim, rdim].</summary>
    public IReadOnlyList<long> Shape { get; }

    public int Dimensions => Shape.Count;

    /// <summary>The product: [..., ldim, rdim].</summary>
    public Tensor AB => A.MatMul(B);

    /// <summary>The product the other way round: [..., mdim, mdim].</summary>
    /// <exception cref="InterpException">NOT_SQUARE.</exception>
    public Tensor BA
    {
        get
        {
            InterpException.Require(Rows == Columns, "NOT_SQUARE", $"BA needs a square product; this is [{Rows}, {Columns}].");
            return B.MatMul(A);
        }
    }

    /// <summary>The transpose.</summary>
    public FactoredMatrix T => new(B.transpose(-2, -1), A.transpose(-2, -1));

    /// <summary>This, then a matrix [..., rdim, n]: the narrower middle stays factored.</summary>
    public FactoredMatrix Times(Tensor right)
    {
        InterpException.Require(right.dim() >= 2 && right.size(-2) == Columns, "FACTORS_DO_NOT_MATCH",
            $"{Shape.Shown()} times {right.Shown()}: [..., {Columns}, n] is expected.");
        return Columns > Middle ? new FactoredMatrix(A, B.MatMul(right)) : new FactoredMatrix(AB, right);
    }

    public FactoredMatrix Times(FactoredMatrix right) => Times(right.A).Times(right.B);

    /// <summary>A matrix [..., n, ldim], then this.</summary>
    public FactoredMatrix After(Tensor left)
    {
        InterpException.Require(left.dim() >= 2 && left.size(-1) == Rows, "FACTORS_DO_NOT_MATCH",
            $"{left.Shown()} times {Shape.Shown()}: [..., n, {Rows}] is expected.");
        return Rows > Middle ? new FactoredMatrix(left.MatMul(A), B) : new FactoredMatrix(left, AB);
    }

    /// <summary>This times a column vector [rdim]: [..., ldim].</summary>
    public Tensor TimesVector(Tensor column) => A.MatMul(B.MatMul(column.unsqueeze(-1))).squeeze(-1);

    /// <summary>A row vector [ldim] times this: [..., rdim].</summary>
    public Tensor AfterVector(Tensor row) => row.unsqueeze(-2).MatMul(A).MatMul(B).squeeze(-2);

    /// <summary>Every entry times a number.</summary>
    public FactoredMatrix Times(double scalar) => new(A.Times(scalar), B);

    /// <summary>Singular vectors and values, from a QR of each factor and the SVD of what is left: anew at each call.</summary>
    /// <exception cref="InterpException">NOT_FINITE.</exception>
    public FactoredSvd Svd()
    {
        var (qa, ra) = Qr(A);
        var (qb, rb) = Qr(B.transpose(-2, -1));
        var core = Finite(ra.MatMul(rb.transpose(-2, -1)));
        var parts = Dispatcher.CallMany("aten::linalg_svd", "", 3, core, false, Dispatcher.Argument.None);
        return new FactoredSvd(qa.MatMul(parts[0]), parts[1], qb.MatMul(parts[2].transpose(-2, -1)));
    }

    /// <summary>The eigenvalues of AB that are not zero by construction, those of BA: complex [..., mdim].</summary>
    /// <exception cref="InterpException">NOT_SQUARE, NOT_FINITE.</exception>
    public Tensor Eigenvalues() => Dispatcher.Call("aten::linalg_eigvals", "", Finite(BA.Wide()));

    /// <summary>The Frobenius norm of AB: [...]; that of R_A R_Bᵀ.</summary>
    public Tensor Norm()
    {
        var (left, right) = (Qr(A).R, Qr(B.transpose(-2, -1)).R);
        return left.MatMul(right.transpose(-2, -1)).square().sum([-2, -1]).sqrt();
    }

    /// <summary>The same product as (U sqrt(S)) (sqrt(S) Vᵀ).</summary>
    public FactoredMatrix MakeEven()
    {
        var (u, s, v) = Svd();
        var root = s.sqrt();
        return new FactoredMatrix(u * root.unsqueeze(-2), root.unsqueeze(-1) * v.transpose(-2, -1));
    }

    /// <summary>diag(S) Vᵀ: [..., k, rdim].</summary>
    public Tensor CollapseLeft()
    {
        var (_, s, v) = Svd();
        return s.unsqueeze(-1) * v.transpose(-2, -1);
    }

    /// <summary>U diag(S): [..., ldim, k].</summary>
    public Tensor CollapseRight()
    {
        var (u, s, _) = Svd();
        return u * s.unsqueeze(-2);
    }

    /// <summary>The first rows and columns of the product, along leading axes too.</summary>
    public Tensor Corner(int k = 3)
    {
        var corner = A.narrow(-2, 0, Math.Min(k, Rows)).MatMul(B.narrow(-1, 0, Math.Min(k, Columns)));
        for (var axis = 0; axis < Dimensions - 2; axis++) corner = corner.narrow(axis, 0, Math.Min(k, Shape[axis]));
        return corner;
    }

    /// <summary>A leading axis of length 1 at a place.</summary>
    public FactoredMatrix Unsqueeze(int axis)
    {
        var leading = Dimensions - 2;
        if (axis < 0 || axis > leading)
            throw InterpException.OutOfRange("AXIS_OUT_OF_RANGE", $"The axis is {axis}; leading axes are inserted at 0 to {leading}.");
        return new FactoredMatrix(A.unsqueeze(axis), B.unsqueeze(axis));
    }

    /// <summary>
    /// One index per axis, from the first (negative: from the end). Leading axes go; rows and columns stay as axes of length 1.
    /// </summary>
    /// <exception cref="InterpException">TOO_MANY_INDICES, INDEX_OUT_OF_RANGE.</exception>
    public FactoredMatrix this[params int[] indices] => FactoredIndex.At(this, indices);

    /// <summary>Lists or slices of axes, from the first; every axis stays.</summary>
    /// <exception cref="InterpException">TOO_MANY_INDICES, INDEX_OUT_OF_RANGE.</exception>
    public FactoredMatrix Select(params IReadOnlyList<Positions> axes) => FactoredIndex.Select(this, axes);

    /// <summary>Both factors to the enclosing scope.</summary>
    public FactoredMatrix MoveToOuterDisposeScope() => new(A.MoveToOuterDisposeScope(), B.MoveToOuterDisposeScope());

    /// <summary>R_A B [..., k, rdim]: diag(S) Vᵀ up to a rotation from the left, which no norm of a product sees.</summary>
    internal Tensor RotatedLeft() => Qr(A).R.MatMul(B.Wide());

    /// <summary>A R_Bᵀ [..., ldim, k]: likewise for products from the left.</summary>
    internal Tensor RotatedRight() => A.Wide().MatMul(Qr(B.transpose(-2, -1)).R.transpose(-2, -1));

    // There is none in half precision.
    private static (Tensor Q, Tensor R) Qr(Tensor matrix) => linalg.qr(matrix.Wide());

    // LAPACK answers infinities and NaN with numbers.
    private static Tensor Finite(Tensor core)
    {
        if (core.isfinite().all().item<bool>()) return core;
        throw InterpException.Precondition("NOT_FINITE", "The product holds numbers that are not finite; it has no decomposition.");
    }

    public override string ToString() => $"FactoredMatrix {Shape.Shown()}, hidden {Middle}";

    private static long[] Leading(long[] a, long[] b)
    {
        var leading = new long[Math.Max(a.Length, b.Length)];
        for (var i = 1; i <= leading.Length; i++)
        {
            long x = i <= a.Length ? a[^i] : 1, y = i <= b.Length ? b[^i] : 1;
            InterpException.Require(x == y || x == 1 || y == 1, "FACTORS_DO_NOT_MATCH",
                $"The leading axes {a.Shown()} and {b.Shown()} do not broadcast.");
            leading[^i] = Math.Max(x, y);
        }
        return leading;
    }
}

/// <summary>AB = U diag(S) Vᵀ. Signs of singular vectors are free.</summary>
/// <param name="U">[..., ldim, k].</param>
/// <param name="S">[..., k], largest first.</param>
/// <param name="V">[..., rdim, k] (TransformerLens's V, and what it calls Vh).</param>
public readonly record struct FactoredSvd(Tensor U, Tensor S, Tensor V);
