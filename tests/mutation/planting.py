"""Reads mutants.txt, and compiles its defects into a copy of the headers, each as a switch."""

import re
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Error(Exception):
    pass


@dataclass
class Mutant:
    name: str
    file: str
    old: str = ""
    new: str = ""
    whole_expression: bool = False
    equivalent: str = ""


def number_of(name):
    """FNV-1a, as in planted.hpp."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & (2**64 - 1)
    return value


def read_list(path=HERE / "mutants.txt"):
    mutants = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        words = line.split()
        if words[0] == "mutant" and words[3:] in ([], ["expr"]) and len(words) > 2:
            mutants.append(Mutant(words[1], words[2], whole_expression=words[3:] == ["expr"]))
        elif line[0] == "-" and mutants:
            mutants[-1].old += line[1:].removeprefix(" ") + "\n"
        elif line[0] == "+" and mutants:
            mutants[-1].new += line[1:].removeprefix(" ") + "\n"
        elif line.startswith("= equivalent: ") and mutants:
            mutants[-1].equivalent = line.removeprefix("= equivalent: ")
        else:
            raise Error(f"mutants.txt:{number}: not a line of the list: {line}")
    names = [m.name for m in mutants]
    for name in names:
        if names.count(name) > 1:
            raise Error(f"mutants.txt: {name} is there twice")
    return mutants


# --- C++, as far as it matters here

TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/) | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<word>\w+) | (?P<other>\S)""",
    re.VERBOSE | re.DOTALL,
)
OPENING = dict(zip("([{", ")]}"))
NOT_A_TYPE = "return co_return throw delete else case goto co_await co_yield using new if while for"
DECLARATION = re.compile(
    r"(?!(?:%s)\b)(?:(?:static|const|constexpr)\s+)*(?:::)?[A-Za-z_][\w:]*(?:<.*?>)?(?:::\w+)?"
    r"(?:\s*[&*]\s*|\s+)(?:const\s+)?(?:[A-Za-z_]\w*|\[[\w, ]+\])\s*(?:[={;]|\()"
    % NOT_A_TYPE.replace(" ", "|"),
    re.DOTALL,
)


def without_comments(text):
    return TOKEN.sub(lambda m: " " if m["comment"] else m[0], text)


def is_balanced(text):
    expected = []
    for m in TOKEN.finditer(text):
        sign = m["other"]
        if sign in OPENING:
            expected.append(OPENING[sign])
        elif sign and sign in ")]}" and (not expected or expected.pop() != sign):
            return False
    return not expected


def statements(text):
    """Those that a semicolon ends, each perhaps behind others that a brace ends."""
    depth, begin, found = 0, 0, []
    for m in TOKEN.finditer(text):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(m["other"], 0)
        if m["other"] == ";" and depth == 0:
            found.append(text[begin : m.end()].strip())
            begin = m.end()
    return found


def is_one_statement(text):
    return len(statements(text)) == 1


def declares(text):
    return any(DECLARATION.match(s) for s in statements(without_comments(text)))


def are_statements(text):
    text = without_comments(text).strip()
    if re.match(r"else\b|case\b|default\b", text):
        return False
    return is_balanced(text) and (not text or text[-1] in ";}") and not re.search(r":\s*$", text)


HEAD = re.compile(r"((?:\}\s*)?(?:else\s+)?(?:if|while)\s*\()(.*)(\)\s*\{)", re.DOTALL)
INITIALISED = re.compile(r"([^={(;]*?[^=<>!{(;])(=\s*)([^=].*)(;)", re.DOTALL)
FUNCTION = re.compile(r"((?!if\b|while\b|for\b)[^{};]*\)[^{};]*\{)(.*)(\})", re.DOTALL)


@dataclass
class Edit:
    """The text from `begin` to `end` of a file, which each of `choices` replaces."""

    begin: int
    end: int
    is_expression: bool
    choices: list = field(default_factory=list)
    is_condition: bool = False
    inner: list = field(default_factory=list)

    def render(self, text):
        # A comment would hide the brace behind it.
        old = without_comments(apply(text, self.begin, self.end, self.inner))
        if self.is_expression:
            # What a condition converts to bool need not be of one type.
            cast = "bool" if self.is_condition else ""
            switches = "".join(f"{test(m)} ? {cast}({new}) : " for m, new in self.choices)
            result = f"({switches}{cast}({old}))"
        else:
            switches = " else ".join(f"if ({test(m)}) {{ {new} }}" for m, new in self.choices)
            result = f"{switches} else {{ {old} }}"
        # The lines of the file keep their numbers.
        return " ".join(result.split("\n")) + "\n" * text.count("\n", self.begin, self.end)


def test(mutant):
    return f"::ilm_mutation::planted({number_of(mutant.name)}u)"


def apply(text, begin, end, edits):
    parts = []
    for e in sorted(edits, key=lambda e: e.begin):
        parts += [text[begin : e.begin], e.render(text)]
        begin = e.end
    return "".join(parts) + text[begin:end]


def locate(m, text):
    """The edit that plants `m`: the smallest whole statements, or the whole expression, that differ."""
    old, new = m.old.rstrip("\n"), m.new.rstrip("\n")
    begin = text.find(old)
    if begin < 0:
        raise Error(f"{m.name}: its lines are not in {m.file}")
    if text.find(old, begin + 1) >= 0:
        raise Error(f"{m.name}: its lines are in {m.file} more than once")

    def edit(shift, size, replacement, is_expression):
        if not is_balanced(old[shift : shift + size]) or not is_balanced(replacement):
            raise Error(f"{m.name}: brackets do not match")
        lead = len(old[shift : shift + size]) - len(old[shift : shift + size].lstrip())
        at = begin + shift + lead
        rest = old[shift + lead : shift + size].rstrip()
        return Edit(at, at + len(rest), is_expression, [(m, without_comments(replacement).strip())])

    if m.whole_expression:
        return edit(0, len(old), new, True)
    olds, news = old.split("\n"), new.split("\n")
    front = 0
    while front < min(len(olds), len(news)) and olds[front] == news[front]:
        front += 1
    back = 0
    while back < min(len(olds), len(news)) - front and olds[-1 - back] == news[-1 - back]:
        back += 1
    # The lines that both share may be those of one statement, or need what is declared above them.
    for ends in ((front, back), (front, 0)):
        try:
            return part(m, text, begin, edit, olds, news, *ends)
        except Error:
            pass
    return part(m, text, begin, edit, olds, news, 0, 0)


def part(m, text, begin, edit, olds, news, front, back):
    """The edit of the lines but for so many at the front and the back."""
    shift = len("".join(line + "\n" for line in olds[:front]))
    old_part = "\n".join(olds[front : len(olds) - back])
    new_part = "\n".join(news[front : len(news) - back])
    old_code, new_code = (without_comments_of_same_length(p).strip() for p in (old_part, new_part))
    lead = len(old_part) - len(old_part.lstrip())
    for pattern, expression in ((HEAD, True), (INITIALISED, True), (FUNCTION, False)):
        before, after = pattern.fullmatch(old_code), pattern.fullmatch(new_code)
        if not before or not after or before[1] != after[1]:
            continue
        content = len(before.groups()) - 1
        if pattern is INITIALISED:
            single = is_one_statement(before[content] + ";") and is_one_statement(after[content] + ";")
            if not single or not DECLARATION.match(before[0]):
                continue
        if is_balanced(before[content]) and is_balanced(after[content]):
            begins = shift + lead + before.start(content)
            made = edit(begins, len(before[content]), after[content], expression)
            made.is_condition = pattern is HEAD
            return made
    if not are_statements(old_part) or not are_statements(new_part):
        raise Error(f"{m.name}: neither whole statements, nor the head of one, nor marked `expr`")
    before = without_comments(text[: begin + shift]).rstrip()
    if not re.search(r"[;{})]$|\belse$|[^:]:$", before):
        raise Error(f"{m.name}: begins in the middle of a statement, and is not marked `expr`")
    if declares(old_part) and (back > 0 or is_one_statement(old_code)):
        raise Error(f"{m.name}: a declaration, whose new text must declare the same with `=`")
    return edit(shift, len(old_part), new_part, False)


def without_comments_of_same_length(text):
    return TOKEN.sub(lambda m: " " * len(m[0]) if m["comment"] else m[0], text)


def nest(edits):
    """Puts each edit into the one that it lies in; those of the same text are choices of one."""
    roots = []
    for e in sorted(edits, key=lambda e: (e.begin, -e.end)):
        level = roots
        while level and level[-1].end > e.begin:
            last = level[-1]
            if (last.begin, last.end, last.is_expression) == (e.begin, e.end, e.is_expression):
                last.choices += e.choices
                last.is_condition = last.is_condition or e.is_condition
                break
            if last.end < e.end:
                names = f"{last.choices[0][0].name} and {e.choices[0][0].name}"
                raise Error(f"{names}: their texts overlap, and neither contains the other")
            level = last.inner
        else:
            level.append(e)
    return roots


def plant_file(file, mutants, root=ROOT):
    """The text of a header with all its defects as switches."""
    path = root / file
    if not path.is_file():
        raise Error(f"{mutants[0].name}: no file {file}")
    text = path.read_text()
    edits = nest([locate(m, text) for m in mutants])
    planted = apply(text, 0, len(text), edits)
    return planted.replace("#pragma once", "#pragma once\n#include <ilm/planted.hpp>\n#line 2", 1)


def plant_all(mutants, root=ROOT):
    """File names and texts of all headers with defects; what is wrong with the list is said at once."""
    files, wrong = {}, []
    for m in mutants:
        files.setdefault(m.file, []).append(m)
    texts = {}
    for file, those in files.items():
        try:
            texts[file] = plant_file(file, those, root)
        except Error as e:
            # All of the file's, one by one.
            found = []
            for m in those:
                try:
                    plant_file(file, [m], root)
                except Error as each:
                    found.append(str(each))
            wrong += found or [str(e)]
    if wrong:
        raise Error("\n".join(wrong))
    return texts
