from __future__ import annotations

import pyarrow as pa
import pytest

from dataset.markup import has_markup, without_markup

TITLE = (
    '<div class="product-description" style="font-family:Arial;font-size:12px"><p><span style="color:#333">'
    "red lamp</span></p></div>"
)
CASES = [
    (TITLE, "red lamp"),
    ("<p>Red</p><p>lamp</p>", "Red lamp"),
    ("Red<br>lamp<br/>large", "Red lamp large"),
    ("H<sub>2</sub>O, <b>bold</b>ly", "H2O, boldly"),
    ("Salt &amp; pepper&nbsp;mill", "Salt & pepper mill"),
    ("caf&eacute; &#8211; 5&#x20AC;", "café – 5€"),
    ("<ul>\n <li>one</li>\n <li>two</li>\n</ul>", "one two"),
    ("Lamp<!-- draft --> red", "Lamp red"),
    ("<style>p { color: red }</style><script>var a = '<b>';</script>Lamp", "Lamp"),
    ("<![CDATA[Red]]> lamp", "Red lamp"),
    ("&lt;p&gt;Red &amp;amp; blue&lt;/p&gt;", "Red & blue"),
    ("<p></p>", ""),
    ('<a href="x?a=1&b=2">Lamp</a>', "Lamp"),
    ("</p>Lamp</script>", "Lamp"),
]
PLAIN = [
    "",
    "red lamp",
    "5 < 6 > 4",
    "I <3 lamps",
    "AT&T",
    "Q&A; more",
    "Black  &  Decker",
    "a<b, b>c",
    "R&D;",
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_markup_is_found_and_taken_off(text: str, expected: str) -> None:
    texts = pa.array([text, "as it  is", None])

    assert has_markup(texts).tolist() == [True, False, False]
    assert without_markup(texts).to_pylist() == [expected, "as it  is", None]


@pytest.mark.parametrize("text", PLAIN)
def test_text_without_markup_stays_as_it_is(text: str) -> None:
    assert not has_markup(pa.array([text])).any()
    assert without_markup(pa.array([text])).to_pylist() == [text]


def test_what_was_taken_off_once_has_none_left() -> None:
    once = without_markup(pa.array([text for text, _ in CASES]))

    assert without_markup(once).equals(once)
