"""How an audit is shown: its page, its JSON and its summary."""

import io
import json
from html.parser import HTMLParser

import pytest
from rich.console import Console

from ferjax.data.audit import page as audit_page
from ferjax.data.audit import report
from tests.helpers.planted_audit import FACES, SPLITS, audited, examples, flat


@pytest.fixture(scope="module")
def planted():
    return audited(SPLITS)


class Page(HTMLParser):
    """What a page consists of; asserts that tags are closed in order."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def of(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


EVIL = '"><script>alert(1)</script><img src=http://x/ onerror=alert(1)>.jpg'


def test_the_page_shows_groups_and_escapes_every_name():
    train = [FACES[0], FACES[1], FACES[0], FACES[2], flat(0)]
    splits = SPLITS | {
        "train": examples(train, [0, 1, 1, 0, 0], [f"{EVIL}{number}" for number in range(5)]),
        "validation": examples([FACES[3], FACES[2]], [2, 0]),
    }
    page = Page(
        audit_page.page(audited(splits, title="<i>T</i>", options={"name": "<u>"}, remark="<s>"))
    )
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "b>odd", "i", "u", "s"}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    for image in page.of("img"):
        assert image["src"].startswith("data:image/png;base64,")
        assert image["alt"]
    assert f"train, angry {EVIL}0" in page.text and any(EVIL in i["alt"] for i in page.of("img"))
    assert "<b>odd</b>" in page.text and "<i>T</i>" in page.text
    assert "name=<u>" in page.text
    (policy,) = [meta for meta in page.of("meta") if "http-equiv" in meta]
    assert policy["content"].startswith("default-src 'none'; img-src data:")
    assert page.of("html") == [{"lang": "en"}]
    targets = {link["href"] for link in page.of("a")}
    assert targets == {f"#{heading['id']}" for heading in page.of("h2")}
    assert "several splits" in page.text and "several classes" in page.text
    assert "train, happy" in page.text and "image 1" in page.text


def test_what_the_page_leaves_out_is_counted(planted):
    text = Page(audit_page.page(planted, max_groups=1)).text
    assert "2 more groups are not shown" in text  # exact
    assert "1 more groups are not shown" in text  # near
    assert "not shown" not in Page(audit_page.page(planted)).text


def test_many_copies_and_pictures_of_one_group_are_counted():
    many = examples([FACES[0]] * 40, [0] * 40)
    text = Page(audit_page.page(audited(SPLITS | {"train": many}))).text
    assert "and 29 more copies" in text


def test_json_lists_everything(planted):
    fields = json.loads(json.dumps(report.result(planted), allow_nan=False))
    assert fields["format"] == report.FORMAT
    documented = report.__doc__
    assert all(name in documented for name in fields)
    assert [len(group["images"]) for group in fields["exact_groups"]] == [3, 2, 2]
    assert fields["exact_groups"][0]["images"][1] == {
        "split": "train",
        "position": 2,
        "key": "image 2",
        "label": "happy",
    }
    assert fields["exact_groups"][0]["conflict"] and fields["exact_groups"][0]["leak"]
    (changed, still) = fields["near_pairs"]
    assert [one["split"] for one in changed["images"]] == ["train", "test"]
    assert changed["conflict"] and not still["conflict"]
    assert changed["similarity"] > 0.9
    assert fields["balance"][0] == {
        "split": "train",
        "counts": {"angry": 3, "happy": 2, "<b>odd</b>": 0},
        "ratio": None,
    }
    leak = fields["leaks"][1]
    assert (leak["split"], leak["other"]) == ("test", "train")
    assert [one["position"] for one in leak["exact"]] == [0]
    assert [one["position"] for one in leak["near"]] == [1]
    assert [one["key"] for one in fields["black"]] == ["image 4"]
    assert fields["figures"]["surplus exact copies"] == 4
    assert fields["not_compared"] == 1


def test_the_terminal_gets_names_as_they_are(planted):
    console = Console(file=io.StringIO(), width=80)
    named = audited(SPLITS, title="[red]T[/red]", classes=("[bold]a", "b", "[/]"), remark="[x]")
    report.print_summary(named, console)
    text = console.file.getvalue()
    assert "Audit of [red]T[/red]" in text and "[bold]a" in text and "[/]" in text
    assert "Optimistic: [x]." in text
    row = next(line for line in text.splitlines() if line.startswith("test in train"))
    assert row.split()[3:] == ["1", "1"]
    assert max(map(len, text.splitlines())) <= 80
