"""The headers' comments: plain text in which `code` stands in backticks, and what is indented is code or a formula."""
import re


def indentation(line):
    return re.match(r"\s*", line).group()


def blocks(lines):
    """The parts of a block of /// lines: ("text", lines), ("cpp", lines) and ("formula", lines)."""
    found, item = [], False

    def add(kind, line):
        if not found or found[-1][0] != kind:
            found.append((kind, []))
        found[-1][1].append(line)

    for line in lines:
        text = re.sub(r"^\s*/// ?", "", line).rstrip()
        item = text.lstrip().startswith("- ") or item and bool(text)  # a list may be indented, and is no code
        if text.startswith("  ") and not item or not text and found and found[-1][0] == "indented":
            add("indented", text)
        else:
            add("text", text)
    for kind, texts in found:
        if kind == "indented":
            while not texts[-1]:
                texts.pop()
            least = min(len(indentation(text)) for text in texts if text)
            code = any(re.search(r"[;{}]\s*(//.*)?$", text) for text in texts)
            yield "cpp" if code else "formula", [text[least:] for text in texts]
        elif any(texts):
            yield kind, texts


def spelled(text, escaped, code):
    """Text with what stands in backticks as code(...), the rest as escaped(...)."""
    parts = re.split(r"`([^`]*)`", text)
    return "".join(code(part) if i % 2 else escaped(part) for i, part in enumerate(parts))


def for_doxygen(lines):
    special = re.compile(r"([\\@<>#%&\"$]|::)")

    def escaped(text):
        return special.sub(r"\\\1", text)

    out = []
    for kind, texts in blocks(lines):
        if kind == "text":
            text = spelled("\n".join(texts), escaped, lambda code: f"<code>{escaped(code)}</code>")
            out += text.split("\n")
        else:
            out += ["@code{.cpp}" if kind == "cpp" else "@code{.text}", *texts, "@endcode"]
    return out


def for_markdown(lines):
    out = []
    for kind, texts in blocks(lines):
        if kind == "text":
            out.append(spelled("\n".join(texts), lambda text: re.sub(r"([\\*_<>\[\]|#])", r"\\\1", text),
                               lambda code: f"`{code}`"))
        else:
            out += ["", f"```{'cpp' if kind == 'cpp' else 'text'}", *texts, "```", ""]
    return "\n".join(out)


def of_file(text):
    """The comment that stands before a header's namespace, which is about the whole of it."""
    found = re.search(r"((?:^///.*\n)+)namespace gradus", text, flags=re.M)
    return found.group(1).rstrip().split("\n") if found else []
