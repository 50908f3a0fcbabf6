"""Statements with values → texts that pgbench sends unchanged."""

from collections.abc import Sequence

from pglast.parser import scan

from pgwatch_wed.whatif.proof.sampled_rows import constant

_COMMENTS = ("SQL_COMMENT", "C_COMMENT")


class NotSentError(Exception):
    """pgbench would change the text; the message says what is in the way."""


def on_one_line(text: str) -> str:
    """Return a text without comments, line breaks, and anything that pgbench takes for a variable or a command."""
    pieces: list[str] = []
    end = -1
    for token in scan(text):
        if token.name in _COMMENTS:
            continue
        word = text[token.start : token.end + 1]
        if token.start > end + 1 or (pieces and word[0].isalnum() and pieces[-1] == ":"):
            pieces.append(" ")
        pieces.append(_harmless(token.name, word))
        end = token.end
    return "".join(pieces).strip()


def _harmless(name: str, word: str) -> str:
    if name == "SCONST" and (":" in word or "\n" in word):
        if not word.startswith("'"):
            raise NotSentError("it contains a constant in which pgbench would look for variables")
        return (
            constant(word[1:-1].replace("''", "'"), "text")
            .removeprefix("(")
            .removesuffix("::text)")
        )
    if (":" in word and name not in ("TYPECAST", "ASCII_58", "COLON_EQUALS")) or "\n" in word:
        raise NotSentError("it contains a name in which pgbench would look for variables")
    if "\\" in word and name != "SCONST":
        raise NotSentError("it contains a backslash, with which pgbench's own commands begin")
    return word


def script(texts: Sequence[str]) -> str:
    """Return the pgbench script that sends one of several texts."""
    if len(texts) == 1:
        return f"{texts[0]};\n"
    lines = [f"\\set pgwatch_wed_values random(1, {len(texts)})"]
    for number, text in enumerate(texts, 1):
        lines += [f"\\{'if' if number == 1 else 'elif'} :pgwatch_wed_values = {number}", f"{text};"]
    return "\n".join([*lines, "\\endif", ""])
