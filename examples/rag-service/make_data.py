"""Write the data of this example: 349 chunks of a shop's help centre, and 122 questions with the chunk that answers each.

    python make_data.py

Chunk ids are section/page#number. A chunk's title names the product; its text often says "it" instead, as help pages do.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

PRODUCTS = [
    "coffee grinder", "air purifier", "electric kettle", "robot vacuum", "bread maker", "desk lamp", "water filter", "rice cooker",
    "food scale", "hand mixer", "ice maker", "juice press", "pizza oven", "sewing machine", "space heater", "steam iron",
]  # fmt: skip
COLOURS = ["red", "green", "blue", "amber", "white", "violet"]
PARTS = ["seal", "hinge", "filter cartridge", "drive belt", "mains cord", "lid", "drip tray", "control knob"]
DETAIL = (
    "Read this page to the end before you call us. Most callers find what they need here. Keep the receipt and the serial number "
    "at hand, which stands on a sticker under the base. Photos help our technicians: one of the whole appliance, one of the "
    "sticker, one of the damage. Never open the housing while it is connected. "
)
# section: three chunks, each (title, text, questions); slots: p product, n number, c colour, part
SECTIONS = {
    "setup": [
        ("Unpacking the {p}", "Take it out of the box and remove all {n} pieces of tape and every foil. Let it stand for one hour.",
         ["how many tapes are removed when unpacking a {p}", "what must I peel off my new {p} first"]),
        ("Connecting the {p}", "Hold the button for {n} seconds until the {c} light blinks, then type the password.",
         ["pairing the {p} with wifi", "which lamp flashes while the {p} connects to the network"]),
        ("First use of the {p}", "Let it run empty for {n} minutes. A faint smell is normal on the first day and goes away.",
         ["my {p} smells on the first day", "how long does a {p} run empty before its first use"]),
    ],
    "cleaning": [
        ("Daily care of the {p}", "Wipe it with a damp cloth after use. Wash the {part} by hand, never in a dishwasher.",
         ["can parts of the {p} go into the dishwasher", "wiping down the {p} every day"]),
        ("Descaling the {p}", "Every {n} weeks fill it with two spoons of citric acid in warm water, wait, and rinse three times.",
         ["removing limescale from a {p}", "how often is the {p} descaled"]),
        ("Stains on the {p}", "Baking soda on a sponge takes off most stains. Bleach and steel wool spoil the coating.",
         ["is bleach allowed on the {p}", "scratches and stains on my {p}"]),
    ],
    "repair": [
        ("Error codes of the {p}", "E{n} means that the {part} is blocked; E{m} that it overheats. Clear it, wait and start again.",
         ["what does E{n} mean on the {p}", "{p} shows E{m}"]),
        ("Replacing parts of the {p}", DETAIL + "The {part} is replaced without tools: press both clips and pull it forward.",
         ["replacing the {part} of a {p}", "changing the {part} on my {p} without tools"]),
        ("Noises of the {p}", DETAIL + "Rattling comes from a loose screw below; grinding from worn bearings, which we renew.",
         ["my {p} rattles", "grinding noise in the {p}"]),
    ],
    "warranty": [
        ("Length of the warranty of the {p}", "You have {n} months from the day of purchase. Motors are covered for twice as long.",
         ["how many months of guarantee has the {p}", "is the motor of the {p} covered for longer"]),
        ("What the warranty of the {p} leaves out", "Wear, drops, water damage and use in a business are not covered.",
         ["I dropped my {p}, is that covered", "using the {p} in a business"]),
        ("Claiming the warranty of the {p}", DETAIL + "Send us the form W{n} with the receipt; an answer comes within a week.",
         ["which form claims the warranty of a {p}", "sending in form W{n} for the {p}"]),
    ],
    "returns": [
        ("Returning the {p}", "Unused and in its box it goes back within {n} days. We pay for the parcel.",
         ["sending a {p} back", "who pays when I return the {p}"]),
        ("Refunds for the {p}", "The money is on your account {n} working days after the parcel has reached us.",
         ["when do I get my money back for the {p}", "waiting for the refund of a {p}"]),
        ("Exchanging the {p}", "Another colour is exchanged for free; the {c} model costs a little more.",
         ["swapping the {p} for another colour", "exchanging my {p} for the {c} one"]),
    ],
    "power": [
        ("Energy use of the {p}", "It draws {n}0 watts while working and less than one on standby.",
         ["how many watts does the {p} draw", "standby consumption of the {p}"]),
        ("The {p} abroad", "It works on 230 volts alone. Elsewhere a transformer of {n}00 VA is needed, no plug adapter.",
         ["travelling abroad with the {p}", "voltage adapter for a {p}"]),
        ("Fuses of the {p}", DETAIL + "A blown fuse of {n} ampere is changed by an electrician, never bridged with foil.",
         ["fuse of the {p} blew", "how many ampere has the fuse in a {p}"]),
    ],
    "safety": [
        ("Children and the {p}", "Keep it out of their reach. The lock is the {c} switch on its left side.",
         ["child lock of the {p}", "keeping kids away from the {p}"]),
        ("Recalls of the {p}", "Series {n}{m} was recalled for its {part}. Compare the number on the sticker and stop using it.",
         ["was the {p} recalled", "is series {n}{m} of the {p} dangerous"]),
        ("Disposing of the {p}", "Bring it to a collection point for electric waste; it must not go into the household bin.",
         ["where do I throw away an old {p}", "recycling my broken {p}"]),
    ],
}  # fmt: skip
POLICIES = [
    ("Opening hours", "Our telephone line is open from eight to six on working days."),
    ("Gift cards", "Gift cards are valid for three years and cannot be paid out."),
    ("Delivery times", "Parcels arrive within two to four working days."),
    ("Delivery abroad", "We deliver to all countries of the European Union, and to Norway and Switzerland."),
    ("Payment", "We take cards, bank transfer and invoice; no cash on delivery."),
    ("Invoices", "Invoices are in your account below orders, as a file to print."),
    ("Changing an order", "An order can be changed until it is packed."),
    ("Accounts", "Forgotten passwords are set anew by a link that we send by mail."),
    ("Deleting an account", "Your account is deleted within a month, as the law asks."),
    ("Newsletter", "The link below each letter ends it at once."),
    ("Shops", "Our shops are in Lyon, Graz and Gdansk."),
    ("Jobs", "Open positions stand on our career page."),
    ("Complaints", "The ombudsman of the chamber of trade hears complaints for free."),
]
QUESTIONS = 122


def data(seed: int = 7) -> tuple[list[dict[str, str]], list[tuple[str, str, str]]]:
    """Chunks as {_id, title, text}, and questions as (id, text, id of the chunk that answers)."""
    rng = random.Random(seed)
    chunks, asked = [], []
    for section, pages in SECTIONS.items():
        for product in PRODUCTS:
            for number, (title, text, questions) in enumerate(pages, 1):
                n = rng.randrange(3, 90)
                slots = {
                    "p": product,
                    "n": n,
                    "m": n + rng.randrange(1, 9),
                    "c": rng.choice(COLOURS),
                    "part": rng.choice(PARTS),
                }
                name = f"{section}/{product.replace(' ', '-')}#{number}"
                chunks.append({"_id": name, "title": title.format(**slots), "text": text.format(**slots)})
                asked += [(question.format(**slots), name) for question in questions]
    chunks += [{"_id": f"policy/{t.lower().replace(' ', '-')}#1", "title": t, "text": text} for t, text in POLICIES]
    chosen = sorted(rng.sample(range(len(asked)), QUESTIONS))
    return chunks, [(f"q{i:03d}", *asked[number]) for i, number in enumerate(chosen, 1)]


def main() -> None:
    """Write eval/corpus.jsonl, eval/queries.jsonl, eval/qrels/test.tsv, and the index's copy of the chunks."""
    here = Path(__file__).parent
    chunks, questions = data()
    corpus = "".join(json.dumps(chunk) + "\n" for chunk in chunks)
    files = {
        "eval/corpus.jsonl": corpus,
        "eval/queries.jsonl": "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text, _ in questions),
        "eval/qrels/test.tsv": "query-id\tcorpus-id\tscore\n"
        + "".join(f"{name}\t{chunk}\t1\n" for name, _, chunk in questions),
        "index/chunks.jsonl": corpus,
    }
    for name, text in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
