"""Reading a posted form, in either encoding, whatever is in it."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request


async def read_form(request: Request, max_fields: int = 20) -> dict[str, str]:
    """The text fields of a urlencoded or multipart body; the last of a name counts. Raises HTTPException 400."""
    try:
        async with request.form(max_files=4, max_fields=max_fields) as form:
            fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    except HTTPException as error:
        raise HTTPException(400) from error
    except (ValueError, UnicodeError, KeyError, AssertionError):
        raise HTTPException(400) from None
    return {name: _storable(value) for name, value in fields.items()}


def _storable(text: str) -> str:
    return text.encode("utf-8", "ignore").decode("utf-8").replace("\x00", "")
