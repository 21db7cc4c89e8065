"""Nothing is left out: every template a reader or the desk can meet has a specimen."""

from __future__ import annotations

from digest.mail.templating import templates_folder


def test_every_mail_has_a_specimen(specimens):
    folder = templates_folder() / "email"
    there = {f"{each.parent.name}/{each.name}" for each in folder.glob("*/*")}
    unseen = sorted(there - specimens.loaded)
    assert not unseen, f"no specimen is made of {unseen}: give the play in tests/checks/stage.py a step"


def test_every_page_has_a_specimen(specimens):
    there = {f"web/{each.name}" for each in (templates_folder() / "web").glob("*.html")}
    unseen = sorted(there - specimens.loaded)
    assert not unseen, f"no specimen is made of {unseen}: give the play in tests/checks/stage.py a step"


def test_every_language_has_every_mail_and_page(specimens):
    for kept in (specimens.mails, specimens.pages):
        names = {each.name.removesuffix(f"-{each.language}") for each in kept}
        languages = {each.language for each in kept}
        assert {each.name for each in kept} == {f"{name}-{language}" for name in names for language in languages}
        assert len(kept) == len(names) * len(languages), "two have one name"
