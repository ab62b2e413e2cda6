"""Writes src/InteropInterp/Tokens/Normalizers/UnicodeForms.txt from Python's unicodedata.

.NET's String.Normalize does nothing under InvariantGlobalization, so the tokenizers bring the tables of the four normalization
forms along. One line per code point that has a combining class or a decomposition:
code;class;kind;mapping, where kind is empty, "=" (canonical), "x" (canonical, excluded from composition) or "~" (compatibility).
"""
import pathlib
import sys
import unicodedata

lines = [f"# Unicode {unicodedata.unidata_version}, made by scripts/unicode_forms.py: code;combining class;kind;mapping"]
for code in range(sys.maxunicode + 1):
    char = chr(code)
    combining, mapping = unicodedata.combining(char), unicodedata.decomposition(char)
    if not combining and not mapping:
        continue
    kind = ""
    if mapping.startswith("<"):
        kind, mapping = "~", mapping.split("> ", 1)[1]
    elif mapping:
        kind = "=" if unicodedata.normalize("NFC", char) == char else "x"
    lines.append(f"{code:X};{combining or ''};{kind};{mapping}")
target = pathlib.Path(__file__).parent.parent / "src/InteropInterp/Tokens/Normalizers/UnicodeForms.txt"
target.write_text("\n".join(lines) + "\n")
print(f"{target}: {len(lines) - 1} code points")
