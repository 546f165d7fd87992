"""What names a retriever: `adapter[:argument][,key=value]...` in one line, or a table in a TOML file. Parsed here and nowhere else.

    bm25,stemmer=none
    dense:BAAI/bge-small-en-v1.5@REVISION,query_prompt="Represent this sentence, please: "
    {name = "dense:./model", query_prompt = "Represent this sentence, please: "}

A value that holds a comma stands in double quotes, as JSON writes it. In a table every value is as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from limitbench import catalog, registry
from limitbench.errors import SpecError, UnknownName
from limitbench.validation import Problem, first_problem

Given = str | Mapping[str, Any]  # a line, or a table with `name` and options
_QUOTED = re.compile(r'\s*"(?:[^"\\]|\\.)*"\s*')  # a value in JSON's form, up to the next comma or the end
_LONGEST_LABEL = 60
_NAME, _LABEL = "name", "label"
_LABELLED = re.compile(r"\s*([^,:=+\s][^,:=+]*?)\s*=\s*(?=\S)")  # before the name: `ours=dense:./model`
# adapter -> the option that holds the retriever behind it
_BEHIND = {"rerank": "first", "rerank-endpoint": "first", "rerank-llm": "first", "engine": "of", "feedback": "of"}


@dataclass(frozen=True)
class RetrieverSpec:
    """A retriever's name, the argument after its colon, and its options in their order; as it was asked for.

    `name` is of the catalogue or of an adapter. Nothing is looked up before `adapter` or `made` is asked for.
    """

    name: str
    argument: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    label: str | None = None  # by which it is shown; it decides nothing

    @classmethod
    def parse(cls, given: Given | RetrieverSpec) -> RetrieverSpec:
        """The spec of a line or a table. Raises `SpecError` for an option without a value, given twice, or not a user's to give."""
        if isinstance(given, RetrieverSpec):
            return given
        if isinstance(given, Mapping):
            return cls._of_table(given)
        if not isinstance(given, str):
            takes = (
                "; limitbench.evaluate takes functions and models, sweeps and suites take lines"
                if callable(given)
                else ""
            )
            found = getattr(given, "__name__", None) or repr(given)
            raise SpecError(f"found {found}, expected a retriever's line, such as bm25, or a table with a name{takes}")
        labelled = _LABELLED.match(given)
        if labelled is not None:
            spec = cls.parse(given[labelled.end() :])
            if spec.label is not None:
                raise SpecError(f"retriever '{given}': found two labels, {labelled[1]} and {spec.label}; keep one")
            return replace(spec, label=_known_label(labelled[1]))
        head, *settings = _split(given.lstrip())
        name, colon, argument = head.rstrip().partition(":")
        options: dict[str, Any] = {}
        for setting in settings:
            key, equals, value = setting.partition("=")
            if not equals:
                raise SpecError(f"retriever '{given}': found '{setting}', expected KEY=VALUE after the comma")
            key = _key(key)
            if key in options:
                raise SpecError(f"retriever '{given}': option '{key}' is given twice; keep one")
            options[key] = _value(key, value)
        return cls(name, argument if colon else None, tuple(options.items()))._checked(given)

    @classmethod
    def _of_table(cls, table: Mapping[str, Any]) -> RetrieverSpec:
        if table.get(_LABEL) is not None:
            rest = {key: value for key, value in table.items() if key != _LABEL}
            return replace(cls._of_table(rest), label=_known_label(table[_LABEL]))
        head = table.get(_NAME)
        if not isinstance(head, str) or not head.strip():
            raise SpecError(f'found a retriever without a name: {dict(table)}; expected {{name = "bm25", k1 = 1.2}}')
        name, colon, argument = head.strip().partition(":")
        options: dict[str, Any] = {}
        for key, value in table.items():
            if _key(key) in options:
                raise SpecError(f"retriever '{head}': option '{_key(key)}' is given twice; keep one")
            if key != _NAME and value is not None:
                options[_key(key)] = value
        if colon and "," in argument:
            raise SpecError(f"retriever '{head}': found a comma after the colon; give a name without one")
        return cls(name, argument if colon else None, tuple(options.items()))._checked(head)

    def _checked(self, given: str) -> RetrieverSpec:
        if "reuse" in dict(self.options):  # decided by what asks: a run, a fresh run, a check
            raise SpecError(
                f"retriever '{given}': there is no option 'reuse'; run --fresh asks a service for everything anew"
            )
        return self

    def __str__(self) -> str:
        """The line that `parse` reads as this spec, without its label."""
        head = self.name if self.argument is None else f"{self.name}:{self.argument}"
        return ",".join([head, *(f"{key}={_written(key, value)}" for key, value in self.options)])

    def with_options(self, **options: Any) -> RetrieverSpec:
        """The same retriever with these options, in place of others of their names; None leaves one out."""
        kept = {key: value for key, value in self.options if key not in options}
        added = {key: value for key, value in options.items() if value is not None}
        return replace(self, options=(*kept.items(), *added.items()))

    def without(self, *names: str) -> RetrieverSpec:
        """The same retriever without these options."""
        return replace(self, options=tuple((key, value) for key, value in self.options if key not in names))

    def without_index(self) -> RetrieverSpec:
        """The same vectors, every one compared: an engine without its index, others by exact search.

        The dtype stays, but where an engine quantises in its index alone. Of an engine that has nothing but an index, exact
        search of the vectors behind it.
        """
        if self.adapter != "engine":
            return self.without("index")
        made = self.made()
        if made.source is None:
            return self
        if not made.kind_of_engine.scans:
            return RetrieverSpec.parse(self.get("of") or "minilm")
        flat = self.without("m", "ef_construction", "ef", "lists", "probes").with_options(index="flat")
        try:
            flat.made()
        except SpecError:
            return flat.without("dtype")
        return flat

    def get(self, name: str) -> Any:
        """The value of an option that was given, or None."""
        return dict(self.options).get(name)

    @cached_property
    def entry(self) -> Mapping[str, Any]:
        """The catalogue's entry, where the name is one of its; else empty."""
        known = self.argument is None and self.name in catalog.names("retrievers")
        return catalog.entry("retrievers", self.name) if known else {}

    @cached_property
    def adapter(self) -> str:
        """The name of its adapter. Raises `UnknownName` with the nearest name."""
        if self.entry:
            return str(self.entry["adapter"])
        if self.name not in registry.adapters():
            known = {*catalog.names("retrievers"), *registry.adapters()}
            raise UnknownName("retriever", self.name, known, where="the catalogue")
        return self.name

    @property
    def written_parts(self) -> list[Given]:
        """The retrievers that this one is made of, as they were written; none of them need be readable."""
        given = {**self.entry.get("options", {}), **dict(self.options)}
        if self.adapter == "hybrid":
            return _listed(self.argument if self.argument is not None else given.get("members", ()))
        behind = _BEHIND.get(self.adapter, "")
        return [given[behind]] if given.get(behind) else []

    @property
    def parts(self) -> tuple[RetrieverSpec, ...]:
        """The retrievers that this one is made of, if any: a hybrid's members, a reranker's first stage, an engine's vectors."""
        return tuple(map(RetrieverSpec.parse, self.written_parts))

    def made(self, **usual: Any) -> Any:
        """The retriever. `usual` are options that the spec overrides, left out where they are None or the adapter has none such.

        Raises `UnknownName`, `SpecError` naming a wrong option, `MissingExtra` with the pip line.
        """
        kind = registry.resolve("retriever", registry.adapters(), self.adapter)
        options: dict[str, Any] = dict(self.entry.get("options", {}))
        if self.argument is not None:
            if getattr(kind, "argument", None) is None:
                raise SpecError(
                    f"retriever '{self}': '{self.adapter}' takes no argument after a colon; drop ':{self.argument}'"
                )
            options[kind.argument] = self.argument
        options |= dict(self.options)
        has = getattr(kind, "model_fields", {})
        options = {**{key: value for key, value in usual.items() if value is not None and key in has}, **options}
        try:
            return kind(**options)
        except ValidationError as error:
            raise SpecError(f"retriever '{self}': {_wrong(first_problem(error), kind)}") from None


def is_spec(name: str) -> bool:
    """Whether a record's name begins as a spec does: with a name of the catalogue or an adapter; a label does not."""
    head = re.split(r"[:,]", name, maxsplit=1)[0].strip()
    return head in catalog.names("retrievers") or head in registry.adapters()


def shortened(name: str, *options: str, **usual: str) -> str:
    """A record's name without these options, and without those that have their usual value.

    A name that is no spec, such as an imported run's, comes back as it is.
    """
    try:
        spec = RetrieverSpec.parse(name)
    except SpecError:
        return name
    given = dict(spec.options)
    needless = [key for key in given if key in options or (key in usual and given[key] == usual[key])]
    return str(spec.without(*needless)) if needless else name


def model_and_revision(model: str) -> tuple[str, str]:
    """The id of a model and the revision behind its @, empty where there is none."""
    name, _, revision = model.partition("@")
    return name, revision


def members_of(given: str | tuple[Any, ...] | list[Any]) -> tuple[RetrieverSpec, ...]:
    """The members of a hybrid: `bm25+minilm`, a list of lines and tables, or such a list as JSON. Raises `SpecError`."""
    return tuple(map(RetrieverSpec.parse, _listed(given)))


def _listed(given: str | tuple[Any, ...] | list[Any]) -> list[Any]:
    """The members, as they were written. Raises `SpecError` for a list that is not whole."""
    if not isinstance(given, str):
        return list(given)
    if not given.lstrip().startswith("["):
        return [part.strip() for part in given.split("+")]
    try:
        return list(json.loads(given))
    except ValueError:
        raise SpecError(
            f"found the members {given!r}, expected names with + between, such as bm25+minilm, or a JSON list"
        ) from None


def _split(line: str) -> list[str]:
    """The parts of a line between its commas; a comma inside a quoted value is none."""
    out: list[str] = []
    at = 0
    while at <= len(line):
        comma = line.find(",", at)
        equals = line.find("=", at)
        quoted = _QUOTED.match(line, equals + 1) if out and 0 <= equals < (comma if comma >= 0 else len(line)) else None
        if quoted is not None and line[quoted.end() : quoted.end() + 1] in ("", ","):
            comma = quoted.end() if quoted.end() < len(line) else -1
        end = comma if comma >= 0 else len(line)
        out.append(line[at:end])
        at = end + 1
        if comma < 0:
            break
    return out


def _known_label(given: Any) -> str:
    """A label that tables and file names can show. Raises `SpecError` for another."""
    text = given.strip() if isinstance(given, str) else ""
    if not text or not text.isprintable() or len(text) > _LONGEST_LABEL or set(text) & set(",:=+/\\"):
        raise SpecError(
            f"found the label {given!r}, expected up to {_LONGEST_LABEL} printable characters without , : = + / and \\"
        )
    if is_spec(text):
        raise SpecError(f"found the label {text!r}, which is another retriever's name; give one of your own")
    return text


def _key(text: str) -> str:
    return text.strip().replace("-", "_")


def _value(key: str, text: str) -> str:
    if _QUOTED.fullmatch(text):
        try:
            return str(json.loads(text))
        except ValueError:  # a lone backslash, as Windows's paths have: the text as it is
            pass
    return text if key.endswith("_prompt") else text.strip()  # a prompt may well end with a space


def _written(key: str, value: Any) -> str:
    """A value as a line holds it."""
    text = _line_of(value)
    plain = _value(key, text) == text == text.strip() and "," not in text and not text.startswith('"')
    return text if plain else json.dumps(text, ensure_ascii=False)


def _line_of(value: Any) -> str:
    """A value as text: a retriever's table as its line, a list with + between, or as JSON where that would read otherwise."""
    if isinstance(value, Mapping):
        is_retriever = isinstance(value.get(_NAME), str) and value[_NAME].strip()
        return str(RetrieverSpec.parse(value)) if is_retriever else json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, (list, tuple)):
        items = [_line_of(item) for item in value]
        plain = all("+" not in item and item == item.strip() and not item.startswith("[") for item in items)
        return "+".join(items) if plain else json.dumps(items, ensure_ascii=False)
    return str(value).replace("e+", "e") if isinstance(value, float) else str(value)


def _wrong(problem: Problem, kind: Any) -> str:
    """What is wrong with an option, as the rest of a sentence."""
    key = ".".join(map(str, problem.place))
    if not key:
        return problem.message
    if problem.kind == "extra_forbidden":
        options = ", ".join(field.alias or name for name, field in kind.model_fields.items())
        return f"there is no option '{key}'; it has: {options or 'none'}"
    if problem.kind == "missing" and key == kind.argument:
        return f"expected {kind.adapter}:{key.upper()}"
    return f"option '{key}': found {problem.found!r}: {problem.raw.lower()}"


def texts_under(options: Any, key: str) -> list[str]:
    """The texts under a key in a configuration: of a retriever, and of those inside it."""
    if isinstance(options, dict):
        own = [options[key]] if isinstance(options.get(key), str) else []
        return own + [text for value in options.values() for text in texts_under(value, key)]
    return [text for value in options for text in texts_under(value, key)] if isinstance(options, list) else []
