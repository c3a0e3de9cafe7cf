"""As much of JSON Schema as the command line's schemas use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
    "null": type(None),
}  # fmt: skip
_KNOWN = {
    *("$schema", "$defs", "$ref", "title", "description", "default", "type", "enum", "const", "properties", "required"),
    *("additionalProperties", "items", "prefixItems", "minItems", "maxItems", "allOf", "anyOf"),
}


def flaws(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, at: str = "$") -> Iterator[str]:
    """What is wrong with a value; a keyword that is not known here is an error."""
    root = root or schema
    assert schema.keys() <= _KNOWN, schema.keys() - _KNOWN
    if "$ref" in schema:
        yield from flaws(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
    for part in schema.get("allOf", ()):
        yield from flaws(value, part, root, at)
    if "anyOf" in schema and all(list(flaws(value, part, root, at)) for part in schema["anyOf"]):
        yield f"{at}: {value!r} is none of {schema['anyOf']}"
    names = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", list(_TYPES))
    if not any(_is(value, name) for name in names):
        yield f"{at}: {value!r} is no {schema['type']}"
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{at}: {value!r} is none of those allowed"
    yield from _flaws_of_parts(value, schema, root, at)


def _flaws_of_parts(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{at}: no {name}" for name in schema.get("required", ()) if name not in value)
        others = schema.get("additionalProperties", {})
        for name, part in value.items():
            known = schema.get("properties", {}).get(name, others)
            yield from flaws(part, known if isinstance(known, dict) else {}, root, f"{at}.{name}")
    if isinstance(value, list):
        first = schema.get("prefixItems", ())
        for i, part in enumerate(value):
            known = first[i] if i < len(first) else schema.get("items", {})
            yield from flaws(part, known, root, f"{at}[{i}]")


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean") == isinstance(value, bool)
