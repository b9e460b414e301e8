"""The page of fortunes: the rows and one that is added on each request, sorted, in a template that escapes."""

from jinja2 import Environment

from benches.load.store import Fortune, Store

ADDED: Fortune = (0, "Additional fortune added at request time.")

_TEMPLATE = Environment(autoescape=True).from_string(
    "<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>"
    "<tr><th>id</th><th>message</th></tr>"
    "{% for id, message in fortunes %}<tr><td>{{ id }}</td><td>{{ message }}</td></tr>{% endfor %}"
    "</table></body></html>"
)


async def fortunes_page(store: Store) -> str:
    """Read the fortunes, add one, sort them by their messages, and return the page."""
    async with store.session() as session:
        fortunes = await session.fortunes()
    fortunes.append(ADDED)
    fortunes.sort(key=lambda fortune: fortune[1])
    return _TEMPLATE.render(fortunes=fortunes)
