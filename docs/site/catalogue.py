"""What the public headers declare, from Doxygen's XML: for the index of names, which nobody keeps by hand."""
import collections
import os
import re
import xml.etree.ElementTree as xml

from doxygen_filter import SAME

Entry = collections.namedtuple("Entry", "name kind header line text id type calls bases methods")


def plain(node):
    """The text of a description, without what stands in blocks, and with what stands in `code`."""
    if node is None:
        return ""
    if node.tag in ("verbatim", "programlisting", "parameterlist"):
        return ""
    inner = (node.text or "") + "".join(plain(child) + (child.tail or "") for child in node)
    if node.tag == "computeroutput" and inner:
        return f"`{inner}`"
    return inner + ("\n\n" if node.tag == "para" else "")


def description(node):
    return (plain(node.find("briefdescription")) + plain(node.find("detaileddescription"))).strip()


def first_sentence(text):
    text = re.sub(r"\s+", " ", text.split("\n\n")[0]).strip()
    end = re.search(r"(?<! )(?<!et al)(?<!e\.g)(?<!i\.e)(?<!\.\.)(?<!eq)\. (?=[\w`(])", text)
    text = text[:end.start()] if end else text
    return text.rstrip(":.") if not text.endswith("...") else text


def entry(node, header, name):
    methods = {found.findtext("name") for found in node.iter("memberdef") if found.get("kind") == "function"}
    where = node.find("location")
    return Entry(name, node.get("kind"), header, int(where.get("line")), description(node), node.get("id"),
                 "".join(node.find("type").itertext()) if node.find("type") is not None else "",
                 "operator()" in methods, [base.text for base in node.iter("basecompoundref")], methods)


def of_header(folder, header):
    """The names that a header declares, in its order. One without a word of its own has that of what it follows."""
    group = "group__" + re.sub(r"\W", "_", header.removesuffix(".hpp")).replace("_", "__") + ".xml"
    path = os.path.join(folder, group)
    if not os.path.exists(path):
        return []
    root = xml.parse(path).getroot().find("compounddef")
    found = [entry(node, header, node.findtext("qualifiedname") or node.findtext("name"))
             for node in root.iter("memberdef")]
    for inner in root.findall("innerclass"):
        node = xml.parse(os.path.join(folder, inner.get("refid") + ".xml")).getroot().find("compounddef")
        found.append(entry(node, header, inner.text))
    found.sort(key=lambda one: one.line)
    out = []
    for one in found:
        if one.text.rstrip(".") == SAME:  # Doxygen ends it so
            one = one._replace(text=out[-1].text)
        elif one.text.startswith("The same") and out and out[-1].text:
            one = one._replace(text=f"{first_sentence(one.text)}: {first_sentence(out[-1].text)}.")
        out.append(one)
    return out


def one_line(entries):
    """For each name, the first entry that says something, with its first sentence."""
    best = {}
    for one in entries:
        if one.name not in best or not best[one.name].text:
            best[one.name] = one
    return [one._replace(text=first_sentence(one.text)) for one in best.values()]


def short(name):
    return name.removeprefix("gradus::")


def sections(headers):
    """[(title, [Entry])], for the index. `headers`: {header: [Entry]}."""
    # What an op does is said where it is declared for tensors.
    headers = dict(sorted(headers.items(), key=lambda item: (not item[0].startswith("tensor/"), item[0])))
    left = {header: [one for one in entries if one.kind in ("function", "typedef", "class", "struct", "enum", "concept")
                     and not re.search("operator|<|Options$|::apply$", one.name)]
            for header, entries in headers.items()}

    def take(wanted):
        taken = []
        for header, entries in left.items():
            taken += [one for one in entries if wanted(header, one)]
            left[header] = [one for one in entries if not wanted(header, one)]
        return one_line(taken)

    described = {one.name.split("::")[-1]: one.text for entries in headers.values() for one in entries}

    def of_rule(one):  # `using Adam = Optimizer<AdamRule<false>>` is described at its rule
        rule = re.search(r"<\s*(\w+)", one.type)
        return one._replace(text=one.text or first_sentence(described.get(rule.group(1), ""))) if rule else one

    def is_optimizer(header, one):
        made = one.kind == "typedef" and re.search(r"Optimizer\s*<", one.type)
        return header.startswith("optim/") and bool(made or one.kind in ("class", "struct") and "step" in one.methods)

    def is_layer(header, one):
        return header.startswith("nn/") and one.kind in ("class", "struct") and \
            (one.calls or any(re.match(r"(Recurrent|Stateless)\s*<", base or "") for base in one.bases))

    found = []
    topics = sorted({os.path.basename(header) for header in headers if "/ops/" in header})
    take(lambda header, one: header.startswith("autograd/elementwise/"))  # ops again, on symbols
    losses = take(lambda header, one: one.kind == "function" and
                  (re.match(r"nn/(.*loss|ctc|sampled_softmax)", header) or header == "autograd/ops/cross_entropy.hpp"))
    for topic in topics:
        found.append((f"Ops: {topic.removesuffix('.hpp').replace('_', ' ')}",
                      take(lambda header, one: "/ops/" in header and os.path.basename(header) == topic and
                           one.kind == "function")))
    found.append(("Ops: fused, from a function", take(lambda header, one: header == "autograd/elementwise.hpp" and
                                                       one.kind == "function")))
    found.append(("Layers", take(is_layer)))
    found.append(("Losses", losses))
    found.append(("Initial values", take(lambda header, one: header == "nn/init.hpp" and one.kind == "function")))
    found.append(("Optimizers", [of_rule(one) for one in take(is_optimizer)]))
    found.append(("Schedules", take(lambda header, one: re.match(r"optim/.*schedule", header) and
                                    one.kind in ("class", "struct"))))
    for title, folder in [("What layers are made of", "nn/"), ("Around an optimizer", "optim/"),
                          ("Derivatives, the tape, modules", "autograd/"), ("Tensors", "tensor/"), ("Texts", "text/"),
                          ("Language models", "models/")]:
        found.append((title, take(lambda header, one: header.startswith(folder))))
    return [(title, sorted(entries, key=lambda one: (one.name.count("::"), one.name.lower())))
            for title, entries in found if entries]
