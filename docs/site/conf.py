"""Sphinx's settings. scripts/docs runs it on the pages that pages.py wrote."""
import json
import os
import sys

from docutils import nodes
from sphinx import addnodes
from sphinx.roles import XRefRole
from sphinx.util.nodes import make_refnode

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ["GRADUS_DOCS_SOURCE"]
sys.path.insert(0, HERE)
from doxygen_filter import SAME  # noqa: E402

project = "Gradus"
author = "The Gradus authors"
copyright = "The Gradus authors, MIT licence"
extensions = ["breathe", "myst_parser"]
breathe_projects = {"gradus": os.environ["GRADUS_DOCS_XML"]}
breathe_default_project = "gradus"
breathe_show_include = False
myst_heading_anchors = 4
primary_domain = "cpp"
highlight_language = "text"
smartquotes = False
html_theme = "furo"
html_title = "Gradus"
html_static_path = [os.path.join(HERE, "static")]
html_css_files = ["gradus.css"]
html_copy_source = False
html_show_sourcelink = False
# Not of the page's headings: of hundreds of overloads.
toc_object_entries = False


def one_of_several(app, tree):
    """Puts the declarations that share a comment together, and takes out words that say nothing to a reader."""
    for one in list(tree.findall(addnodes.desc)):
        content = one[-1]
        if content.astext().strip() != SAME:
            continue
        siblings = one.parent.children
        before = one.parent.index(one) - 1
        while before >= 0 and not isinstance(siblings[before], addnodes.desc):
            before -= 1
        if before < 0:
            content.clear()
            continue
        place = len(siblings[before]) - 1
        for signature in one.children[:-1]:
            siblings[before].insert(place, signature)
            place += 1
        one.parent.remove(one)
    for signature in tree.findall(addnodes.desc_signature_line):
        for word in list(signature.findall(addnodes.desc_sig_keyword)):
            if word.astext() == "inline":
                place = word.parent.index(word)
                word.parent.remove(word.parent[place + 1])
                word.parent.remove(word)


def resolve(app, env, node, contents):
    """{api}`text <id>`: a link to what Doxygen gave this id."""
    if node["reftype"] != "api":
        return None
    page = IDS.get(node["reftarget"])
    return make_refnode(app.builder, node["refdoc"], page, node["reftarget"], contents) if page else None


class ApiRole(XRefRole):
    def __init__(self):
        super().__init__(innernodeclass=nodes.literal, warn_dangling=True)


with open(os.path.join(SOURCE, "ids.json")) as file:
    IDS = json.load(file)


def setup(app):
    app.add_role("api", ApiRole())
    app.connect("doctree-read", one_of_several)
    app.connect("missing-reference", resolve)
