"""A chart as a drawing that can stand inside a page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from orket.report.palette import GRID, INK, MUTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    import altair as alt

_SVG = "http://www.w3.org/2000/svg"
_SHAPES = {"svg", "g", "path", "line", "rect", "text", "tspan", "title", "desc", "defs"}
_SHAPES |= {"clipPath", "circle"}
_POINTLESS = {
    "class",
    "pointer-events",
    "role",
    "aria-roledescription",
    "aria-hidden",
    "aria-label",
}
_REFERENCE = re.compile(r"url\(#([\w-]+)\)")
_PLACE = re.compile(r"translate\((-?[\d.]+),(-?[\d.]+)\)")
_DOT = re.compile(r"M([\d.]+),0A\1,\1,")
_FEWEST_DOTS = 50
_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The renderer carries the first: a text is as wide wherever it is measured."""


def draw(chart: alt.TopLevelMixin, name: str, title: str, about: str) -> str:
    """The chart as SVG, with a title and a description for whoever does not see it.

    `name` is unique on the page: it begins every id. What is not a shape is left out,
    so that nothing in it can run, load or lead anywhere.
    """
    import vl_convert

    spec = _dressed(chart).to_dict()
    return _embed(vl_convert.vegalite_to_svg(spec), name, title, about)


def _dressed(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """The chart with the fonts and colours of the page."""
    axis = {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelFontSize": 12,
        "titleFontSize": 12,
    }
    dressed: alt.TopLevelMixin = chart.configure(
        font=_FONT,
        aria=False,
        background="transparent",
        view={"stroke": None},
        axis=axis,
        text={"color": INK, "fontSize": 12},
        title={"color": INK, "anchor": "start", "fontSize": 12},
        legend={"labelColor": INK, "titleColor": MUTED, "labelLimit": 0},
    )
    return dressed


def _embed(drawn: str, name: str, title: str, about: str) -> str:
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(drawn)
    _keep_shapes(root)
    for element in root.iter():
        _rename_ids(element, name)
    for group in list(root.iter(f"{{{_SVG}}}g")):
        _share_attributes(group)
        _join_dots(group)
    # The width is the page's; the lines and letters keep their proportions.
    width = root.attrib.pop("width")
    root.attrib.pop("height")
    root.set("style", f"max-width:{width}px")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-about")
    for place, (tag, text) in enumerate((("title", title), ("desc", about))):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}")
        element.set("id", f"{name}-{'title' if tag == 'title' else 'about'}")
        element.text = text
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _keep_shapes(element: ElementTree.Element) -> None:
    for child in list(element):
        tag = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
        is_empty = tag == "path" and not child.get("d")
        if tag not in _SHAPES or is_empty:
            element.remove(child)
            continue
        for key in list(child.attrib):
            is_pointless = key in _POINTLESS or (key, child.get(key)) == (
                "opacity",
                "1",
            )
            if is_pointless or key.startswith("on") or "href" in key:
                del child.attrib[key]
        if place := _PLACE.fullmatch(child.get("transform", "")):
            across, down = map(_hundredths, place.groups())
            child.set("transform", f"translate({across},{down})")
        _keep_shapes(child)
        if tag == "g" and not len(child):
            element.remove(child)


def _rename_ids(element: ElementTree.Element, name: str) -> None:
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif _REFERENCE.search(value):
            element.set(key, _REFERENCE.sub(rf"url(#{name}-\1)", value))


_SHARED = (
    "fill",
    "stroke",
    "stroke-width",
    "stroke-opacity",
    "stroke-dasharray",
    "fill-opacity",
    "font-size",
    "font-family",
    "text-anchor",
)
"""Not the opacity: that of a group is another than that of shapes which overlap."""


def _share_attributes(group: ElementTree.Element) -> None:
    """Say once at a group what each of its children says: thousands of points do."""
    children = list(group)
    if len(children) < 2:
        return
    for key in _SHARED:
        values = {child.get(key) for child in children}
        if len(values) == 1 and (value := values.pop()):
            group.set(key, value)
            _drop(children, key)


def _drop(children: Iterable[ElementTree.Element], key: str) -> None:
    for child in children:
        del child.attrib[key]


def _join_dots(group: ElementTree.Element) -> None:
    """Make one line of many equal dots: each a stroke of no length with a round end.

    Thousands of runs then take a tenth of the room, and look the same.
    """
    children = list(group)
    if len(children) < _FEWEST_DOTS or any(
        set(child.attrib) != {"transform", "d"} for child in children
    ):
        return
    shapes = {child.get("d", "") for child in children}
    dot = _DOT.match(shapes.pop())
    places = [_PLACE.fullmatch(child.get("transform", "")) for child in children]
    if shapes or dot is None or not all(places):
        return
    for child in children:
        group.remove(child)
    steps = (f"M{at[1]},{at[2]}h.01" for at in places if at)
    line = ElementTree.SubElement(group, f"{{{_SVG}}}path")
    line.set("d", "".join(steps))
    line.set("fill", "none")
    line.set("stroke", group.get("fill", ""))
    line.set("stroke-width", f"{2 * float(dot[1]):.3g}")
    line.set("stroke-linecap", "round")


def _hundredths(number: str) -> str:
    """Finer than a hundredth of a pixel nobody sees."""
    return f"{float(number):.2f}".rstrip("0").rstrip(".")
