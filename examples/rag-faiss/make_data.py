"""Write the evaluation data of this example: 240 help articles, and for each a question that it answers."""

from __future__ import annotations

import json
from pathlib import Path

PRODUCTS = [
    "coffee grinder", "air purifier", "electric kettle", "robot vacuum", "bread maker", "desk lamp", "water filter", "rice cooker",
    "food scale", "hand mixer", "ice maker", "juice press", "pizza oven", "sewing machine", "space heater", "steam iron",
    "camping stove", "dash camera", "lawn mower", "pool pump",
]  # fmt: skip
TOPICS = [  # how an article says it, and how somebody asks
    (
        "Cleaning the {}: switch it off, take the removable parts out and wash them by hand in warm water.",
        "my {} is dirty, how do I wash it",
    ),
    (
        "Warranty of the {}: two years from the day of purchase, with the receipt; wear is not covered.",
        "how long does the guarantee of the {} last",
    ),
    (
        "If the {} does not start, check the plug and the fuse, then hold the power button for ten seconds.",
        "the {} will not turn on",
    ),
    (
        "Spare parts for the {} are ordered in the shop under accessories, by the number on its back.",
        "where can I buy a replacement part for my {}",
    ),
    (
        "The {} makes a loud noise when something is stuck inside; unplug it and look for it with a torch.",
        "why is the {} so noisy",
    ),
    ("Returning the {}: within thirty days, unused and in its box; we pay for the parcel.", "can I send the {} back"),
    (
        "Storing the {} over winter: dry it well, wind up the cable and keep it above freezing.",
        "how should I keep the {} in the cold months",
    ),
    (
        "First use of the {}: take off all foils, rinse what touches food and let it run empty once.",
        "what do I do before using the new {}",
    ),
    (
        "Energy use of the {}: see the label below it; standby takes less than half a watt.",
        "how much power does the {} need",
    ),
    (
        "Children and the {}: keep it out of reach; the lock is the small switch at its side.",
        "is there a child lock on the {}",
    ),
    (
        "Recycling the {}: bring it to a collection point, it must not go into household waste.",
        "how do I throw the old {} away",
    ),
    (
        "Firmware of the {}: hold both buttons for five seconds; the light blinks while it updates.",
        "update the software of the {}",
    ),
]


def main() -> None:
    """Write corpus.jsonl, queries.jsonl and qrels.tsv."""
    here = Path(__file__).parent / "eval"
    here.mkdir(exist_ok=True)
    corpus, queries, qrels = [], [], ["query-id\tcorpus-id\tscore"]
    for product in PRODUCTS:
        for article, question in TOPICS:
            name = f"a{len(corpus)}"
            corpus.append(json.dumps({"_id": name, "title": "", "text": article.format(product)}))
            qrels.append(f"q{len(queries)}\t{name}\t1")
            queries.append(json.dumps({"_id": f"q{len(queries)}", "text": question.format(product)}))
    for name, lines in (("corpus.jsonl", corpus), ("queries.jsonl", queries), ("qrels.tsv", qrels)):
        (here / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
