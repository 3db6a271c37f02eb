"""Writes the pages that Sphinx reads, from docs/, the examples and the headers."""
import json
import os
import re
import shutil

import catalogue
import comments

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(path):
    with open(os.path.join(REPOSITORY, path)) as file:
        return file.read()


def reference_page(header):
    """The page of a header. An op on tensors and its namesake with gradients have one together."""
    name = header.removesuffix(".hpp")
    return "reference/" + (f"ops/{os.path.basename(name)}" if re.match(r"(tensor|autograd)/ops/", name) else name)


class Site:
    """`headers`: the public ones; `xml`: the folder of Doxygen's XML; `outputs`: {example: what it prints};
    `folder`: where the pages go."""

    def __init__(self, headers, xml, outputs, folder):
        self.names = {header: catalogue.of_header(xml, header) for header in headers}
        self.headers = [header for header in headers if self.names[header]]
        self.outputs, self.folder = outputs, folder
        self.pages = {"README.md": "index", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog",
                      "SECURITY.md": "security", "examples": "examples/index"}
        self.pages.update({f"docs/{name}": name.removesuffix(".md") for name in os.listdir(f"{REPOSITORY}/docs")
                           if name.endswith(".md")})
        self.pages.update({header: reference_page(header) for header in self.headers})
        self.pages.update({f"examples/{name}.cpp": f"examples/{name}" for name in outputs})

    def write(self, page, text):
        path = os.path.join(self.folder, page + ".md")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def linked(self, text, source, page):
        """A document's text, with links to files of the repository turned to what the site has of them."""
        parts = re.split(r"(^```.*?^```$|`[^`\n]*`)", text, flags=re.M | re.S)

        def link(found):
            words, target = found.group(1), found.group(2)
            if re.match(r"\w+:|#", target):
                return found.group()
            path, _, anchor = target.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(source), path))
            if not os.path.exists(os.path.join(REPOSITORY, path)):
                raise SystemExit(f"docs: {source} links to {target}, which does not exist")
            here = os.path.dirname(page) or "."
            if path in self.pages:
                return f"{words}({os.path.relpath(self.pages[path] + '.md', here)}{'#' + anchor if anchor else ''})"
            if os.path.isdir(os.path.join(REPOSITORY, path)):
                return words.strip("[]")
            copy = os.path.join("charts", os.path.basename(path)) if path.startswith("docs/charts") else \
                os.path.join("files", path)
            os.makedirs(os.path.join(self.folder, os.path.dirname(copy)), exist_ok=True)
            shutil.copy(os.path.join(REPOSITORY, path), os.path.join(self.folder, copy))
            return f"{words}({os.path.relpath(copy, here)})"

        for i in range(0, len(parts), 2):
            # The words of a link may have `code` in them, which the split has taken out.
            parts[i] = re.sub(r"(\[[^\]]*\]|\])\(([^()\s]+)\)", link, parts[i])
        return "".join(parts)

    def document(self, source, page):
        text = self.linked(read(source), source, page)
        for name, output in self.outputs.items():
            shown = re.search(rf"<!-- output: {name} -->\n```\n(.*?)```", text, flags=re.S)
            if shown and shown.group(1) != output:
                raise SystemExit(f"docs: {source} does not show what example_{name} prints")
        if source == "docs/pytorch.md":  # the names of Gradus in its tables are links
            known = {catalogue.short(one.name): one for entries in self.names.values() for one in reversed(entries)}

            def name(found):
                one = known.get(found.group(1))
                return f"{{api}}`{found.group(1)} <{one.id}>`" if one else found.group()

            text = re.sub(r"(?<=\n)(\|[^|\n]*\|)([^|\n]*)",
                          lambda row: row.group(1) + re.sub(r"`([\w:]+)`", name, row.group(2)), text)
        self.write(page, text)

    def documents(self):
        for source, page in self.pages.items():
            if source.endswith(".md") and source != "README.md":
                self.document(source, page)
        text = self.linked(read("README.md"), "README.md", "index")
        contents = read("docs/site/contents.md")
        others = sorted(page for source, page in self.pages.items() if source.startswith("docs/") and
                        not re.search(rf"^{page}$", contents, flags=re.M))
        self.write("index", text + contents.replace("others\n", "".join(f"{page}\n" for page in others)))

    def examples(self):
        listed, extensions = [], []
        for name, output in sorted(self.outputs.items()):
            text = read(f"examples/{name}.cpp")
            words = re.match(r"(?://.*\n)+", text)
            words = re.sub(r"^// ?", "", words.group(), flags=re.M) if words else ""
            custom = re.search(r"// custom begins\n(.*?)// custom ends", text, flags=re.S)
            title = name.replace("_", " ").capitalize()
            listed.append((name, title, catalogue.first_sentence(words)))
            if custom or name.startswith("custom_"):
                extensions.append(listed[-1])
            count = f"What is custom about it are the {len(custom.group(1).splitlines())} lines between the two marks. " \
                if custom else ""
            lines = sum(bool(line.strip()) for line in text.splitlines())
            shown = os.path.relpath(f"{REPOSITORY}/examples/{name}.cpp", f"{self.folder}/examples")
            self.write(f"examples/{name}", f"# {title}\n\n{words}\n{count}The whole program, `examples/{name}.cpp`, "
                       f"has {lines} lines.\n\n```{{literalinclude}} {shown}\n:language: cpp\n```\n\n"
                       f"It prints:\n\n```text\n{output}```\n")

        def contents(names):
            rows = "".join(f"| [{title}]({name}.md) | {comments.for_markdown([f'/// {text}'])} |\n"
                           for name, title, text in names)
            return f"| | |\n|---|---|\n{rows}\n```{{toctree}}\n:hidden:\n\n" + \
                "".join(f"{name}\n" for name, _, _ in names) + "```\n\n"

        self.write("examples/index", "# Examples\n\nEach is one short program. The tests compile and run it, and what it "
                   "prints here it printed when this page was made.\n\n## Extensions\n\n" + contents(extensions) +
                   "## Programs\n\n" + contents([one for one in listed if one not in extensions]))

    def index(self):
        out = ["# Every name\n\nWhat there is, by kind, with the first sentence of its documentation. An op that stands "
               "in `tensor/ops/` and in `autograd/ops/` is one line: it takes tensors, and Variables with gradients of "
               "every order.\n"]
        for title, entries in catalogue.sections(self.names):
            out.append(f"\n## {title}\n\n| | |\n|---|---|\n")
            for one in entries:
                text = comments.for_markdown([f"/// {one.text}"]).replace("\n", " ")
                out.append(f"| {{api}}`{catalogue.short(one.name)} <{one.id}>` | {text} |\n")
        self.write("names", "".join(out))

    def reference(self):
        pages = {}
        for header in self.headers:
            pages.setdefault(reference_page(header), []).append(header)
        for page, headers in pages.items():
            title = page.removeprefix("reference/") + ("" if len(headers) > 1 else ".hpp")
            text = [f"# {title.removesuffix('.hpp') if page.startswith('reference/ops/') else title}\n"]
            for header in sorted(headers, key=lambda name: name.startswith("autograd")):
                if page.startswith("reference/ops/"):
                    text.append("\n## With gradients\n" if header.startswith("autograd") else "\n## On tensors\n")
                source = os.path.relpath(f"{REPOSITORY}/{header}", f"{self.folder}/{os.path.dirname(page)}")
                text.append(f"\nDeclared in {{download}}`{header} <{source}>`.\n\n"
                            f"{comments.for_markdown(comments.of_file(read(header)))}\n\n"
                            f"```{{doxygengroup}} {re.sub(r'[^0-9A-Za-z_]', '_', header.removesuffix('.hpp'))}\n"
                            ":content-only:\n:members:\n:undoc-members:\n```\n")
            self.write(page, "".join(text))
        out = ["# Reference\n\nEvery public name, by header. `#include <gradus.hpp>` includes all of them but "
               "`tensor/xtensor.hpp`. Names are in the namespace `gradus`, those of a folder `nn`, `optim` or `models` "
               "in the like-named one inside. Functions that can fail have a last argument, `Where where = "
               "Where::here()`, the caller's place for errors, which is left out here.\n"]
        chapters = [("Ops", "ops/"), ("Tensors", "tensor/"), ("Derivatives", "autograd/"), ("Layers and losses", "nn/"),
                    ("Optimizers", "optim/"), ("Texts", "text/"), ("Language models", "models/")]
        for title, folder in chapters:
            inside = sorted(page for page in pages if page.startswith(f"reference/{folder}"))
            out.append(f"\n## {title}\n\n```{{toctree}}\n:maxdepth: 1\n\n" +
                       "".join(f"{page.removeprefix('reference/')}\n" for page in inside) + "```\n")
        self.write("reference/index", "".join(out))
        ids = {one.id: reference_page(header) for header, entries in self.names.items() for one in entries}
        with open(f"{self.folder}/ids.json", "w") as file:
            json.dump(ids, file)

    def make(self):
        self.documents()
        self.examples()
        self.index()
        self.reference()
