"""The worlds: how they say that something has attributes, how they ask, and how they read both back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from limitbench import registry
from limitbench.datasets.language import DENIED, World


def parted(attributes: Sequence[str]) -> tuple[list[str], list[str]]:
    """The attributes that are had, and those that are denied, without their prefix."""
    denied = [item.removeprefix(DENIED) for item in attributes if item.startswith(DENIED)]
    return [item for item in attributes if not item.startswith(DENIED)], denied


@dataclass(frozen=True)
class _Likes:
    """Persons and what they like, in one language."""

    likes: str  # the verb, and the one for what is denied
    denies: str
    who: str  # asks for one of them: {verb} and {what}
    joint: str = " and "

    def sentence(self, name: str, attributes: Sequence[str]) -> str:
        """ "Ada Lovelace likes chess, green tea and engines. Ada Lovelace does not like mud." """
        liked, denied = parted(attributes)
        parts = ((self.likes, liked), (self.denies, denied))
        return " ".join(f"{name} {verb} {self._enumerated(items)}." for verb, items in parts if items)

    def _enumerated(self, items: Sequence[str]) -> str:
        *most, last = items
        return f"{', '.join(most)}{self.joint if most else ''}{last}"

    def question(self, expression: str) -> str:
        """The question for an attribute, such as "Who likes green tea?"."""
        denied = expression.startswith(DENIED)
        return self.who.format(verb=self.denies if denied else self.likes, what=expression.removeprefix(DENIED))

    def listed(self, text: str) -> list[str]:
        """The attributes that a sentence lists; [] where the text has another form.

        The last comma leaves "Y and Z", and where an attribute itself holds an "and" there is more than one way to
        read that: all of them are given.
        """
        plain = text.strip().removesuffix(".")
        name, likes, rest = plain.partition(f" {self.likes} ")
        liked, denies, denied = rest.partition(f". {name} {self.denies} ") if likes else ("", "", "")
        if not denies and not likes:
            _, denies, denied = plain.partition(f" {self.denies} ")
        found = self._taken_apart(liked) if likes else []
        return [*found, *(DENIED + item for item in self._taken_apart(denied))] if denies else found

    def _taken_apart(self, text: str) -> list[str]:
        *most, tail = text.split(", ")
        joints = [match.start() for match in re.finditer(re.escape(self.joint), tail)]
        if not joints:
            return [*most, tail]
        return [*most, *(part for at in joints for part in (tail[:at], tail[at + len(self.joint) :]))]

    def asked(self, text: str) -> str:
        """The expression that a question asks for; "" where the text has another form."""
        for verb, prefix in ((self.denies, DENIED), (self.likes, "")):
            before, _, after = self.who.format(verb=verb, what="\0").partition("\0")
            plain = text.strip()
            if plain.startswith(before) and plain.endswith(after) and len(plain) > len(before) + len(after):
                return prefix + plain[len(before) : len(plain) - len(after)]
        return ""


class People(_Likes):
    """People and what they like, in English."""

    def __init__(self) -> None:
        super().__init__("likes", "does not like", "Who {verb} {what}?")


class German(_Likes):
    """People and what they like, in German."""

    def __init__(self) -> None:
        super().__init__("mag", "verabscheut", "Wer {verb} {what}?", " und ")


class French(_Likes):
    """People and what they like, in French."""

    def __init__(self) -> None:
        super().__init__("aime", "déteste", "Qui {verb} {what} ?", " et ")


class Spanish(_Likes):
    """People and what they like, in Spanish."""

    def __init__(self) -> None:
        super().__init__("adora", "detesta", "¿Quién {verb} {what}?", " y ")


class Products:
    """Products and their features, listed line by line as data sheets do."""

    def sentence(self, name: str, attributes: Sequence[str]) -> str:
        """ "Data sheet of model Ada Lovelace. Features: chess; green tea; engines. Not included: mud" """
        had, denied = parted(attributes)
        more = f"{'.' if had else ''} Not included: {'; '.join(denied)}" if denied else ""
        return f"Data sheet of model {name}.{' Features: ' if had else ''}{'; '.join(had)}{more}"

    def question(self, expression: str) -> str:
        """ "Show me every model with green tea." """
        if expression.startswith(DENIED):
            return f"Show me every model without {expression.removeprefix(DENIED)}."
        return f"Show me every model with {expression}."

    def listed(self, text: str) -> list[str]:
        """The attributes that a data sheet lists; [] where the text has another form."""
        had, denies, denied = text.strip().partition(". Not included: ")
        _, features, rest = had.partition(". Features: ")
        return [*(rest.split("; ") if features else []), *(DENIED + item for item in denied.split("; ") if denies)]

    def asked(self, text: str) -> str:
        """The expression that is asked for; "" where the text has another form."""
        plain = text.strip().removesuffix(".")
        without = plain.partition("every model without ")[2]
        return DENIED + without if without else plain.partition("every model with ")[2]


_BETWEEN = (
    "The committee met in the small hall and took notes as usual.",
    "Nobody had expected the weather to change so quickly that week.",
    "A second reading was planned, and the dates were sent around by mail.",
    "The minutes of the last session were read out and accepted without a vote.",
    "Several members arrived late because the road to the village was closed.",
    "The budget was discussed at length, though no figure was settled.",
    "It was agreed to repaint the door before the end of the year.",
    "A visitor asked about the archive and was shown the shelves upstairs.",
    "The secretary promised to answer all open questions in writing.",
    "After a short break the session went on with the regular agenda.",
    "The heating in the side room still does not work as it should.",
    "Two chairs were missing, and they were brought over from next door.",
    "The treasurer presented the accounts, which two auditors had checked.",
    "A letter from the district was read and passed on to the board.",
    "The next meeting will take place on the first Monday of the month.",
    "Some copies of the report could not be found and will be printed again.",
    "The chair thanked everybody for the patience shown during the winter.",
    "It remained unclear who would keep the key during the holidays.",
    "A list was passed around so that everybody could sign it.",
    "The proposal was sent back to its authors with a few remarks.",
)
_SPACED = 4  # sentences between two facts


class Reports:
    """Long minutes in which facts stand far apart: about 50 words lie between two of them."""

    FACT: ClassVar[str] = "It was noted that {name} {verb} {attribute}."
    CHOSE: ClassVar[str] = "chose"
    REFUSED: ClassVar[str] = "refused"
    FORM: ClassVar[re.Pattern[str]] = re.compile(r"^It was noted that .+? (chose|refused) (.+)\.$", re.MULTILINE)

    def sentence(self, name: str, attributes: Sequence[str]) -> str:
        """Minutes with one line for each fact and four sentences before it, chosen by the name and the fact's place."""
        lines = []
        for number, attribute in enumerate(attributes):
            verb = self.REFUSED if attribute.startswith(DENIED) else self.CHOSE
            draw = hashlib.sha256(f"{name} {number}".encode()).digest()
            lines.append(" ".join(_BETWEEN[byte % len(_BETWEEN)] for byte in draw[:_SPACED]))
            lines.append(self.FACT.format(name=name, verb=verb, attribute=attribute.removeprefix(DENIED)))
        return "\n".join(lines)

    def question(self, expression: str) -> str:
        """ "Who chose green tea?" """
        verb = self.REFUSED if expression.startswith(DENIED) else self.CHOSE
        return f"Who {verb} {expression.removeprefix(DENIED)}?"

    def listed(self, text: str) -> list[str]:
        """The attributes that minutes note; [] where the text has another form."""
        return [(DENIED if verb == self.REFUSED else "") + item for verb, item in self.FORM.findall(text)]

    def asked(self, text: str) -> str:
        """The expression that is asked for; "" where the text has another form."""
        found = re.fullmatch(r"Who (chose|refused) (.+)\?", text.strip())
        return "" if found is None else (DENIED if found[1] == self.REFUSED else "") + found[2]


@dataclass(frozen=True)
class Across:
    """Documents of one world and questions of another: two languages."""

    documents: World
    queries: World

    def sentence(self, name: str, attributes: Sequence[str]) -> str:
        """As the first world says it."""
        return self.documents.sentence(name, attributes)

    def question(self, expression: str) -> str:
        """As the second world asks it."""
        return self.queries.question(expression)

    def listed(self, text: str) -> list[str]:
        """As the first world reads it."""
        return self.documents.listed(text)

    def asked(self, text: str) -> str:
        """As the second world reads it."""
        return self.queries.asked(text)


def world_of(name: str) -> World:
    """The world of a name, or of two with a slash between: documents of the one, questions of the other. Raises `UnknownName`."""
    first, across, second = name.partition("/")
    made: World = registry.resolve("world", registry.WORLDS, first)()
    return Across(made, world_of(second)) if across else made


WORLD_FORMS: tuple[World, ...] = (People(), Products(), Reports(), German(), French(), Spanish())
