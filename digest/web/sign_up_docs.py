"""What the OpenAPI document says of signing up by JSON."""

from __future__ import annotations

from typing import Any

ANSWER = {"status": "asked to confirm by mail"}  # for everybody
SERVER_ONLY = frozenset({"ip", "user_agent", "page", "consent"})
_ABOUT = {
    "email": (320, "The address, as typed"),
    "newsletter": (63, "Its name in config.toml; without it, the first one"),
    "language": (8, "Of the mails to come, if it is one of the site's; else the newsletter's"),
    "name": (100, "What the reader is called"),
    "stamp": (200, "From the facts for a form, asked for when the form was shown"),
    "proof": (40, "Where the facts ask for proof_of_work: a text so that SHA-256 of stamp:email:proof, as hexadecimal "
              "bytes, begins with that many zero bits"),
    "captcha": (4096, "Where the facts name a captcha: the word its script gave"),
    "website": (2000, "A field hidden from people: with anything in it nobody is asked"),
    "ip": (60, "The reader's IP address; only with the token. Kept shortened, and counted"),
    "user_agent": (2000, "The reader's browser; only with the token"),
    "page": (2000, "The address of the page the form stands on; only with the token"),
    "consent": (2000, "The consent text you showed, if it is not ours; only with the token. Kept as proof"),
}  # fmt: skip
LONGEST = {name: length for name, (length, _) in _ABOUT.items()}
_TEXT = {"type": "string"}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def whole(properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these, and nothing else."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


REFUSAL = whole({"error": _TEXT | {"description": "What is wrong"}, "where": _TEXT | {"description": "And where"}})
_NEWSLETTER = whole({"name": _TEXT, "title": _TEXT, "language": _TEXT, "promise": _TEXT, "consent": _TEXT})
_CAPTCHA = {"anyOf": [whole({"field": _TEXT, "site_key": _TEXT}), {"type": "null"}]}
_LANGUAGE = {"name": "language", "in": "query", "description": "Of the words: en, pl, uk", "schema": _TEXT}
_BITS = {"type": "integer", "description": "How many bits of work are asked for; 0: none"}
_FORM = whole(
    {
        "newsletters": {"type": "array", "items": _NEWSLETTER},
        "stamp": _TEXT | {"description": "To be sent back; good for a day"},
        "proof_of_work": _BITS,
        "captcha": _CAPTCHA,
    }
)
_BODY = {
    "type": "object",
    "properties": {
        name: _TEXT | {"maxLength": length, "description": words} for name, (length, words) in _ABOUT.items()
    },
    "required": ["email"],
    "additionalProperties": False,
}
_REFUSALS = {
    400: "Not a JSON object",
    401: "A token was shown, and it is wrong",
    404: "No such newsletter",
    413: "Larger than any form",
    415: "Not application/json",
    422: "A field is missing, unknown or wrong; the address cannot be mailed or is not taken; or `stamp`, `proof` or "
    "`captcha` do not hold: show the form once more",
    429: "Too many sign-ups in this hour, from one network, to one domain or in all",
    503: "The database does not answer; send it again",
}
LOOK: dict[str, Any] = {
    "summary": "What a form of your own shows and sends",
    "description": "The consent text has to be shown beside the button: it is what is kept as proof. `stamp` says when "
    "the form was shown; one that comes back within a blink, or a day later, is refused.",
    "responses": {200: _json("Facts for a form", _FORM)},
    "openapi_extra": {"parameters": [_LANGUAGE]},
}
ASK: dict[str, Any] = {
    "summary": "Sign a reader up: they are asked by mail to confirm",
    "description": "The answer is the same for every address, whether it is new, waits, subscribes already or gets no "
    "mail from us. With the token of [subscribing] api_token as bearer token your own server may leave out `stamp`, "
    "`proof` and `captcha`, and say for whom it asks (`ip`); the limits hold for all.",
    "responses": {
        202: _json("Whoever it is: the mail says the rest", whole({"status": _TEXT})),
        **{status: _json(words, REFUSAL) for status, words in _REFUSALS.items()},
    },
    "openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}},
}
