using System.Text;

namespace InteropInterp.Reports;

/// <summary>Tokens as they can be read side by side: spaces and line ends have signs.</summary>
public static class VisibleText
{
    public static string Of(string token)
    {
        if (token.Length == 0) return "∅";
        var text = new StringBuilder(token.Length);
        foreach (var c in token)
            text.Append(c switch
            {
                ' ' => '·',
                '\n' => '⏎',
                '\t' => '⇥',
                _ when char.IsControl(c) => '�',
                _ => c,
            });
        return text.ToString();
    }
}
