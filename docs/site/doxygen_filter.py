#!/usr/bin/env python3
"""Prints a header as Doxygen reads it best: the comments in Doxygen's markup, the functions that macros make written
out, and without what a reader of the reference does not want to see. Doxygen runs it on each (the Doxyfile's
INPUT_FILTER)."""
import os
import re
import sys

sys.dont_write_bytecode = True
from comments import for_doxygen, indentation  # noqa: E402

# Stands at a declaration that has no comment of its own and follows, without an empty line, one that has: the comment
# is about both, and conf.py puts them together.
SAME = "SAME-AS-ABOVE"
MADE = {"UNARY": "template <class X> auto {}(const X& x);",
        "BINARY": "template <class A, class B> auto {}(const A& a, const B& b);",
        "TERNARY": "template <class A, class B, class C> auto {}(const A& a, const B& b, const C& c);"}


def rows(table):
    """The functions that a macro makes, from the table in the // comment before it: (names, text) each."""
    found = []
    for line in table:
        line = line.removeprefix("//")
        row = re.match(r"   ((?:\w+, )*\w+)(?: +(.*))?$", line)
        if row:
            found.append((row.group(1).split(", "), [row.group(2) or ""]))
        elif found and line.strip():
            found[-1][1].append(line.strip())
    for names, words in found:
        text = " ".join(words).strip() or "The standard library's function of that name."
        clauses = re.split(r"; (?![^(]*\))", text)
        if len(clauses) == len(names):  # sqrt, rsqrt:  the root; 1 / sqrt(x)
            yield from (([name], clause.removeprefix(f"{name}: ")) for name, clause in zip(names, clauses))
        else:
            yield names, text


def made_by_macros(lines):
    """Replaces each `#define GRADUS_UNARY(name` and so on by declarations of the functions that it makes."""
    out, left = [], iter(lines)
    for line in left:
        start = re.match(r"#define GRADUS_(UNARY|BINARY|TERNARY)\(name", line)
        if not start:
            out.append(line)
            continue
        table = []
        while out and out[-1].startswith("//"):
            table.insert(0, out.pop())
        for names, text in rows(table):
            if re.match("[a-z]+ ", text):
                text = text[0].upper() + text[1:]
            out += [f"/// {text}", *(MADE[start.group(1)].format(name) for name in names), ""]
        while line.endswith("\\"):
            line = next(left)
        next(left)  # the line that includes the rows
    return out


def without(text):
    """Without inner parts, specializations, and definitions of what is declared, with its comment, elsewhere."""
    text = re.sub(r"^namespace detail \{$.*?^\}  // namespace detail$", "", text, flags=re.M | re.S)
    template = r"^(?:///[^\n]*\n)*template <[^\n]*>\n(?:requires [^\n]*\n(?:  [^\n]*\n|\}\n)*)?"
    text = re.sub(rf"{template}struct (?:fmt::formatter|std::hash)<.*?\n\}};", "", text, flags=re.M | re.S)
    text = re.sub(rf"{template}inline constexpr bool detail::[^;]*;|^extern template [^;]*;", "", text, flags=re.M)
    text = re.sub(rf"{template}[^\n;/(]*\b[A-Z]\w*(?:<[^\n]*>)?::~?(?:operator\(\)|\w+)\((?:[^\n]*\n)+?\}}\n", "", text,
                  flags=re.M)
    text = re.sub(rf"(?:{template}|^)[a-zA-Z][^\n;/({{]*\bdetail::\w+\((?:[^\n]*\n)+?\}}\n", "", text, flags=re.M)
    # Classes of a class that are defined behind it, such as iterators.
    text = re.sub(rf"(?:{template}|^)(?:class|struct) \w+(?:<[^\n]*>)?::\w+[^\n;]*\{{\n.*?\n\}};\n", "", text,
                  flags=re.M | re.S)
    # Overloads that are there to be refused by the compiler, in a sentence.
    text = re.sub(rf"{template}[^\n;]*\{{\n  static_assert\(\s*(?:detail::)?always_false<.*?\n\}}\n", "", text,
                  flags=re.M | re.S)
    text = re.sub(r"^( *)static (?:void|auto) (?:members|parts)\(auto& self[^;{]*(?:;|\{[^\n]*\}|\{\n.*?\n\1\})\n", "", text,
                  flags=re.M | re.S)
    text = re.sub(r",?\s*Where (?:where|at)(?: = (?:Where::here\(\)|\{\}))?(?=\))", "", text)
    # Sphinx knows no designated initializers, nor raw strings.
    text = re.sub(r" = \{(\.\w+ = [^{}]*)\}(?=[,)])",
                  lambda found: " = {" + re.sub(r"\.(\w+) = ([^,]*)", r"\1(\2)", found.group(1)) + "}", text)
    return re.sub(r"(constexpr [\w:]+ \w+) =\s[^;]*(?:decltype|requires|<|R\")[^;]*;", r"\1;", text)


def filtered(lines, group):
    out, comment = [], []
    documented = None  # the indentation of a declaration that has a comment, until the next empty line
    ended = True       # whether the line before ended a declaration
    for line in lines:
        if re.match(r"\s*///", line):
            comment.append(line)
            continue
        outer = line.startswith("namespace gradus")
        if comment:
            if not outer:  # that of the file stands on its page (pages.py)
                out += [f"{indentation(comment[0])}/// {text}" for text in for_doxygen(comment)]
            documented = None if outer else indentation(line)
            comment = []
        elif not line.strip():
            documented = None
        elif ended and documented == indentation(line) and \
                re.match(r"\s*(?:template <|(?!static_assert|friend)[\w\[].*\()", line):
            out.append(f"{documented}/// {SAME}")
        ended = bool(re.search(r"[;{}:]\s*(//.*)?$", line))
        # What stands behind a member is its comment.
        member = re.match(r"(\s+[\w:<>]+ \w[^(]*(?:;|,)) +// (?!NOLINT)(.*)$", line)
        if member:
            line = f"{member.group(1)}  ///< {' '.join(for_doxygen([member.group(2)]))}"
        if line.startswith("}  // namespace gradus"):
            out.append("/// @}")
        out.append(line)
        if outer and line.endswith("{"):
            out += [f"/// @addtogroup {group}", "/// @{", ""]  # which Breathe shows without the namespace
    return out


def main(path):
    with open(path) as header:
        lines = without("\n".join(made_by_macros(header.read().split("\n")))).split("\n")
    print("\n".join(filtered(lines, re.sub(r"\W", "_", os.path.relpath(path).removesuffix(".hpp")))))


if __name__ == "__main__":
    main(sys.argv[1])
