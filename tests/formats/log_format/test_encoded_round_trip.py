"""Lines of `%{+json}o` (HAProxy 3.0) and values of `log-format-sd`, printed as HAProxy prints them, read back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.envelope import unwrap
from pipeline.formats.line_formats import LineFormat, LineFormats
from pipeline.formats.log_format import compile_format

# Written from the manual (3.0, 8.2.4 and 8.6) and from what 3.2 and 3.4 were seen to write.

_TEXTS = {
    "ID": "ID",
    "r": "r",
    "HM": "HM",
    "ft": "ft",
    "b": "b",
    "s": "s",
    "tsc": "tsc",
    "hr": "hr",
    "CC": "CC",
}
_NUMBERS = ("ST", "B", "TR", "Tw", "Tc", "Tr", "Ta", "pid", "lc", "cp", "U")
_LINE = "%ci:%cp [%tr] %ST"


def in_json(value: str) -> str:
    """Quotes and backslashes alone are escaped; control characters go out as they are."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def in_structured_data(value: str) -> str:
    """As the `E` flag does."""
    return "".join(f"\\{char}" if char in '"\\]' else char for char in value)


names = st.text("abcdefghijklmnopqrstuvwxyz_-0123456789", min_size=1, max_size=8).filter(
    lambda n: n[0].isalpha()
)
texts = st.text(
    st.characters(max_codepoint=0x2FF, exclude_characters="\n\r\x00", exclude_categories=["Cs"]),
    min_size=1,
    max_size=16,
).filter(lambda text: text != "-")


@st.composite
def encoded(draw: st.DrawFn) -> tuple[str, str, dict[str, str]]:
    """Give a format, a line of it, and its values."""
    chosen = draw(st.lists(st.sampled_from([*_TEXTS, *_NUMBERS]), min_size=1, max_size=9, unique=True))
    named = draw(st.lists(names, min_size=len(chosen), max_size=len(chosen), unique=True))
    items, members, values = [], [], {}
    for alias, name in zip(chosen, named, strict=True):
        if alias in _NUMBERS:
            number = draw(st.integers(-1, 10**9))
            kind = draw(st.sampled_from(["", ":sint", ":str"]))
            members.append(f'"{name}": ' + (f'"{number}"' if kind == ":str" else str(number)))
            values[alias] = str(number)
        else:
            text = draw(st.none() | texts)
            kind = draw(st.sampled_from(["", ":str"]))
            members.append(f'"{name}": ' + ("null" if text is None else in_json(text)))
            if text is not None:
                values[alias] = text
        items.append(f"%({name}{kind}){alias}")
    return "%{+json}o " + " ".join(items), "{" + ", ".join(members) + "}", values


@settings(max_examples=400, deadline=None)
@given(encoded())
def test_named_items_of_encoded_json_are_read_back(printed: tuple[str, str, dict[str, str]]) -> None:
    text, line, values = printed
    assert (compile_format(text).read(line) or {}) == values, (text, line)


@settings(max_examples=200, deadline=None)
@given(encoded(), st.data())
def test_encoded_json_that_was_cut_off_gives_values_that_are_whole(
    printed: tuple[str, str, dict[str, str]], data: st.DataObject
) -> None:
    text, line, values = printed
    cut = line[: data.draw(st.integers(1, len(line) - 1))]
    flags: set[str] = set()
    found = compile_format(text).read(cut, flags) or {}
    assert found.items() <= values.items(), (text, cut)
    assert not found or flags & {"truncated", "not_json"}


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
def test_values_of_structured_data_are_read_back(found: list[str]) -> None:
    """Each with a name of its own, behind the message's own format."""
    sd = " ".join(f'v{index}=\\"%{{+E}}[var(txn.v{index})]\\"' for index in range(len(found)))
    printed = " ".join(f'v{index}="{in_structured_data(text)}"' for index, text in enumerate(found))
    keys = [f"%[var(txn.v{index})]" for index in range(len(found))]
    structured = compile_format(f"[hap@32473 {sd}]".replace('\\"', '"'))
    line = (
        f"<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - [hap@32473 {printed}] "
        "192.0.2.1:7 [23/Nov/2026:18:35:39.609] 200"
    )
    formats = LineFormats([LineFormat(compile_format(_LINE), structured=structured)])
    read = formats.read(unwrap(line.encode()), set())
    assert read is not None
    values = read[1]
    assert [values.get(key) for key in keys] == found
    assert (values["ci"], values["ST"]) == ("192.0.2.1", "200")
