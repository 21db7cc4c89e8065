"""How far an edition is, for pages and scripts."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from digest.domain.editions import EditionState


def path_of(web, edition) -> str:
    return urlsplit(web.service.app.links.progress(edition.id)).path


def test_the_numbers_come_as_json(web):
    web.service.add_readers(7)
    edition = web.service.release()
    shown = web.client.get(path_of(web, edition)).json()
    assert shown["state"] == "sending"
    assert (shown["total"], shown["settled"]) == (7, 0)
    web.service.deliver(edition)
    shown = web.client.get(path_of(web, edition)).json()
    assert (shown["state"], shown["settled"], shown["counts"]["sent"], shown["eta"]) == ("sent", 7, 7, 0.0)


def test_the_same_numbers_come_as_events_until_all_is_settled(web):
    web.service.add_readers(5)
    edition = web.service.send()
    assert edition.state is EditionState.SENT
    with web.client.stream("GET", path_of(web, edition), headers={"Accept": "text/event-stream"}) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        text = "".join(reply.iter_text())
    event, end = text.strip().split("\n\n")
    assert event.startswith("event: progress\ndata: ")
    assert json.loads(event.partition("data: ")[2])["counts"]["sent"] == 5
    assert end.startswith("event: end")


def test_no_other_token_shows_them(web):
    web.service.add_readers(1)
    edition = web.service.release()
    good = path_of(web, edition)
    leave = web.service.app.links.unsubscribe(edition.id).rpartition("/")[2]
    for token in ("x", good.rpartition("/")[2][:-1], leave):
        assert web.client.get(f"/api/v1/progress/{token}").status_code == 404
