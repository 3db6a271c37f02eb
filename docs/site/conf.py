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
# Debian 12's Furo has these in a style for a chosen theme alone; so they hold for the system's choice as well.
html_theme_options = {"dark_css_variables": {
    "color-foreground-primary": "#d6d9dc",
    "color-foreground-secondary": "#a3a8ad",
    "color-foreground-muted": "#868b91",
    "color-foreground-border": "#666a6e",
    "color-background-primary": "#141618",
    "color-background-secondary": "#1b1e20",
    "color-background-hover": "#22262a",
    "color-background-hover--transparent": "#22262a00",
    "color-background-border": "#33373b",
    "color-background-item": "#444a50",
    "color-brand-primary": "#4c9df0",
    "color-brand-content": "#5ba5f0",
    "color-highlighted-background": "#0d3a66",
    "color-highlight-on-target": "#33330a",
    "color-problematic": "#f0736e",
    "color-api-name": "#f0736e",
    "color-api-pre-name": "#f0736e",
    "color-card-background": "#1b1e20",
    "color-card-marginals-background": "#22262a",
}}
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
        if content.astext().strip().rstrip(".") != SAME:  # Doxygen ends it so
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
