"""Writes dicts as TOML (Python only reads it)."""

import json


def _value(value) -> str:
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + " }"
    # A JSON string without its surrogate pairs is a TOML basic string; DEL must be escaped in TOML
    # only.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _tables(prefix: str, table: dict) -> list:
    lines = []
    for key, value in table.items():
        name = f"{prefix}{json.dumps(key)}"
        if isinstance(value, dict):
            lines += [f"[{name}]", *_body(value)]
        else:
            lines += [line for entry in value for line in (f"[[{name}]]", *_body(entry))]
    return lines


def _body(table: dict) -> list:
    return [f"{json.dumps(key)} = {_value(value)}" for key, value in table.items()]


def dumps(document: dict) -> str:
    """A kfastd configuration: tables, tables of tables ("clusters", "profiles", "limits"), lists of
    tables ("allow").

    Dicts further down become inline tables, as `{ file = "…" }`.
    """
    lines = []
    for key, value in document.items():
        if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
            lines += _tables(f"{json.dumps(key)}.", value)
        else:
            lines += _tables("", {key: value})
    return "\n".join(lines) + "\n"
