"""Checkpoints in the very layouts in which known models are published, with tiny random weights.

Each is written file by file as its hub repository has it, and its scores are held against a computation by transformers alone.
"""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limitbench import load
from limitbench.datasets import Dataset
from limitbench.retrievers import retriever

pytest.importorskip("sentence_transformers", reason="needs limitbench[models]")

import torch
import transformers
from safetensors.torch import load_file, save_file

Rows = np.ndarray[Any, Any]
ASK = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
ST = "sentence_transformers.models"
SPARSE = "sentence_transformers.sparse_encoder.models"


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Ten documents and fifteen queries, with texts of several lengths."""
    return load("graph-petersen")


def write(folder: Path, **files: Any) -> None:
    """JSON files by name; `1_Pooling/config` stands for that file of that subfolder."""
    for name, value in files.items():
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))


def modules(*parts: tuple[str, str]) -> list[dict[str, Any]]:
    """A modules.json: paths and types, in order."""
    return [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(parts)]


def pooling(mode: str, *, include_prompt: bool = True) -> dict[str, Any]:
    """A 1_Pooling/config.json with one flag a mode, as sentence-transformers 2 to 5 wrote it."""
    flags = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
    return {
        "word_embedding_dimension": 32,
        **{f"pooling_mode_{flag}": flag == mode for flag in flags},
        "include_prompt": include_prompt,
    }


def bert_tokenizer(folder: Path, texts: Sequence[str], *, unused: int = 0) -> Any:
    """A lower-casing WordPiece tokenizer over the texts' words, saved as BERT's."""
    words = sorted({word for text in texts for word in split(text)})
    marks = [f"[unused{i}]" for i in range(unused)]
    vocabulary = dict.fromkeys(["[PAD]", *marks, "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.punctuation, *words])
    made = transformers.BertTokenizer(vocab={w: i for i, w in enumerate(vocabulary)}, do_lower_case=True)
    made.model_max_length = 128
    made.save_pretrained(folder)
    return made


def split(text: str) -> list[str]:
    """Lower-cased words and marks of a text."""
    for mark in string.punctuation:
        text = text.replace(mark, f" {mark} ")
    return text.lower().split()


def byte_tokenizer(folder: Path, template: str, *, pad: str, side: str) -> Any:
    """A byte-level tokenizer without merges: special tokens first, as the template has them around the text `$A`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = [*dict.fromkeys([*(part for part in template.split() if part != "$A"), pad])]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({token: i for i, token in enumerate([*special, *alphabet])}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.add_special_tokens(special)
    inner.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, inner.token_to_id(token)) for token in special]
    )
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token=pad, padding_side=side)
    made.model_max_length = 4096
    made.save_pretrained(folder)
    return made


def states(model: Any, tokenizer: Any, text: str) -> torch.Tensor:
    """The last hidden states of one text, alone and so without padding."""
    with torch.no_grad():
        out: torch.Tensor = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
    return out


def unit(rows: Sequence[torch.Tensor]) -> Rows:
    return torch.nn.functional.normalize(torch.stack(list(rows)), dim=-1).numpy()


def agree(spec: str | dict[str, Any], data: Dataset, wanted: Rows) -> None:
    """The adapter's scores of every document for every query are the wanted ones."""
    run = retriever(spec).retriever.index(data.corpus).search(data.queries, len(data.corpus)).run
    for q in range(len(data.queries)):
        row = dict(run.row(q))
        for d, name in enumerate(data.corpus.ids):
            assert row.get(name, 0.0) == pytest.approx(wanted[q, d], rel=2e-4, abs=2e-5)


def test_qwen3_embedding(tmp_path: Path, data: Dataset) -> None:
    """Keys without a prefix, the last token behind left padding, the query's instruction from the configuration."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer(tmp_path, "$A <|endoftext|>", pad="<|endoftext|>", side="left")
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer), num_key_value_heads=1, head_dim=16, max_position_embeddings=4096,
        tie_word_embeddings=True, **SMALL,
    )  # fmt: skip
    model = transformers.Qwen3Model(config).eval()
    model.save_pretrained(tmp_path)
    write(
        tmp_path,
        config={**json.loads((tmp_path / "config.json").read_text()), "architectures": ["Qwen3ForCausalLM"]},
        modules=modules(("", f"{ST}.Transformer"), ("1_Pooling", f"{ST}.Pooling"), ("2_Normalize", f"{ST}.Normalize")),
        config_sentence_transformers={
            "prompts": {"query": ASK, "document": ""}, "default_prompt_name": None, "similarity_fn_name": "cosine",
        },
        **{"1_Pooling/config": pooling("lasttoken")},
    )  # fmt: skip
    assert "embed_tokens.weight" in load_file(tmp_path / "model.safetensors")

    def last(text: str) -> torch.Tensor:
        return states(model, tokenizer, text)[-1]

    wanted = unit([last(ASK + q) for q in data.queries.texts]) @ unit([last(d) for d in data.corpus.contents]).T
    agree(f"dense:{tmp_path}", data, wanted)


def test_e5_instruct(tmp_path: Path, data: Dataset) -> None:
    """Mean pooling; the instruction is in no file, and comes from `query_prompt`."""
    torch.manual_seed(1)
    tokenizer = byte_tokenizer(tmp_path, "<s> $A </s>", pad="<pad>", side="right")
    config = transformers.XLMRobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=600, pad_token_id=tokenizer.pad_token_id, **SMALL
    )
    model = transformers.XLMRobertaModel(config).eval()
    model.save_pretrained(tmp_path)
    write(
        tmp_path,
        modules=modules(("", f"{ST}.Transformer"), ("1_Pooling", f"{ST}.Pooling"), ("2_Normalize", f"{ST}.Normalize")),
        sentence_bert_config={"max_seq_length": 512, "do_lower_case": False},
        config_sentence_transformers={"__version__": {"sentence_transformers": "2.4.0.dev0"}},
        **{"1_Pooling/config": pooling("mean_tokens")},
    )
    ask = "Instruct: Find who likes it\nQuery: "

    def mean(text: str) -> torch.Tensor:
        return states(model, tokenizer, text).mean(0)

    wanted = unit([mean(ask + q) for q in data.queries.texts]) @ unit([mean(d) for d in data.corpus.contents]).T
    agree({"name": "dense", "model": str(tmp_path), "query_prompt": ask}, data, wanted)


def bert(folder: Path, tokenizer: Any, kind: str, **more: Any) -> Any:
    config = transformers.BertConfig(vocab_size=len(tokenizer), max_position_embeddings=160, **SMALL, **more)
    model = getattr(transformers, kind)(config).eval()
    model.save_pretrained(folder)
    return model


def late_interaction(
    model: Any,
    tokenizer: Any,
    projection: torch.Tensor,
    data: Dataset,
    markers: tuple[int, int],
    length: int,
    skipped: str,
) -> Rows:
    """ColBERT's scores by its definition: markers behind [CLS], queries filled with [MASK], documents without marks."""

    def tokens(text: str, marker: int) -> list[int]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return [tokenizer.cls_token_id, marker, *ids, tokenizer.sep_token_id]

    def vectors(ids: list[int], seen: int) -> torch.Tensor:
        mask = torch.tensor([[1] * seen + [0] * (len(ids) - seen)])
        with torch.no_grad():
            out = model(input_ids=torch.tensor([ids]), attention_mask=mask).last_hidden_state[0]
        return torch.nn.functional.normalize(out @ projection.T, dim=-1)

    marks = {tokenizer.convert_tokens_to_ids(mark) for mark in skipped}
    asked, told = [], []
    for text in data.queries.texts:
        ids = tokens(text, markers[0])
        asked.append(vectors(ids + [tokenizer.mask_token_id] * (length - len(ids)), len(ids)))
    for text in data.corpus.contents:
        ids = tokens(text, markers[1])
        told.append(vectors(ids, len(ids))[[i not in marks for i in ids]])
    return np.array([[float((q @ d.T).max(1).values.sum()) for d in told] for q in asked])


def test_stanford_colbert(tmp_path: Path, data: Dataset) -> None:
    """colbertv2.0: the projection among the encoder's weights, settings in artifact.metadata, markers at [unused0] and [unused1]."""
    torch.manual_seed(2)
    tokenizer = bert_tokenizer(tmp_path, [*data.queries.texts, *data.corpus.contents], unused=2)
    model = bert(tmp_path, tokenizer, "BertModel")
    projection = torch.randn(16, 32)
    weights = {f"bert.{name}": value for name, value in load_file(tmp_path / "model.safetensors").items()}
    save_file({**weights, "linear.weight": projection}, tmp_path / "model.safetensors", {"format": "pt"})
    write(tmp_path, config={**json.loads((tmp_path / "config.json").read_text()), "architectures": ["HF_ColBERT"]})
    metadata = {
        "query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_maxlen": 32, "doc_maxlen": 120, "dim": 16,
        "similarity": "cosine", "mask_punctuation": True, "attend_to_mask_tokens": False,
    }  # fmt: skip
    (tmp_path / "artifact.metadata").write_text(json.dumps(metadata))
    markers = tuple(tokenizer.convert_tokens_to_ids(["[unused0]", "[unused1]"]))
    wanted = late_interaction(model, tokenizer, projection, data, markers, 32, string.punctuation)
    agree(f"maxsim:{tmp_path}", data, wanted)
    (tmp_path / "artifact.metadata").unlink()  # an older export: the same settings are the defaults
    agree(f"maxsim:{tmp_path}", data, wanted)


def test_pylate_colbert(tmp_path: Path, data: Dataset) -> None:
    """PyLate's layout (GTE-ModernColBERT, answerai-colbert): its own Dense class by name, lengths and prefixes in the top file."""
    torch.manual_seed(3)
    tokenizer = bert_tokenizer(tmp_path, [*data.queries.texts, *data.corpus.contents], unused=2)
    tokenizer.add_tokens(["[Q] ", "[D] "])
    tokenizer.save_pretrained(tmp_path)
    model = bert(tmp_path, tokenizer, "BertModel")
    projection = torch.randn(16, 32)
    write(
        tmp_path,
        modules=modules(("", f"{ST}.Transformer"), ("1_Dense", "pylate.models.Dense.Dense")),
        sentence_bert_config={"max_seq_length": 119, "do_lower_case": False},
        config_sentence_transformers={
            "model_type": "ColBERT", "similarity_fn_name": "MaxSim", "query_prefix": "[Q] ", "document_prefix": "[D] ",
            "query_length": 24, "document_length": 120, "attend_to_expansion_tokens": False,
            "skiplist_words": list(string.punctuation), "do_query_expansion": True,
        },
        **{"1_Dense/config": {
            "in_features": 32, "out_features": 16, "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity", "use_residual": False,
        }},
    )  # fmt: skip
    save_file({"linear.weight": projection}, tmp_path / "1_Dense" / "model.safetensors")
    markers = tuple(tokenizer.convert_tokens_to_ids(["[Q] ", "[D] "]))
    wanted = late_interaction(model, tokenizer, projection, data, markers, 24, string.punctuation)
    agree(f"maxsim:{tmp_path}", data, wanted)


def terms(model: Any, tokenizer: Any, text: str) -> torch.Tensor:
    """SPLADE's weights of a text: the largest log(1 + relu) of a term over the tokens."""
    with torch.no_grad():
        logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
    return torch.log1p(torch.relu(logits)).max(0).values


def sparse_head(folder: Path, data: Dataset) -> tuple[Any, Any]:
    tokenizer = bert_tokenizer(folder, [*data.queries.texts, *data.corpus.contents])
    return bert(folder, tokenizer, "BertForMaskedLM"), tokenizer


@pytest.mark.parametrize("listed", [True, False], ids=["splade-v3", "cocondenser"])
def test_splade(listed: bool, tmp_path: Path, data: Dataset) -> None:
    """With sentence-transformers' modules (splade-v3), and the bare masked language model (splade-cocondenser)."""
    torch.manual_seed(4)
    model, tokenizer = sparse_head(tmp_path, data)
    if listed:
        write(
            tmp_path,
            modules=modules(("", f"{SPARSE}.MLMTransformer"), ("1_SpladePooling", f"{SPARSE}.SpladePooling")),
            config_sentence_transformers={"model_type": "SparseEncoder", "prompts": {"query": "", "document": ""}},
            **{"1_SpladePooling/config": {"pooling_strategy": "max", "activation_function": "relu"}},
        )
    queries, documents = (
        torch.stack([terms(model, tokenizer, text) for text in texts]).numpy()
        for texts in (data.queries.texts, data.corpus.contents)
    )
    agree(f"splade:{tmp_path}", data, queries @ documents.T)


def test_inference_free_splade(tmp_path: Path, data: Dataset) -> None:
    """A Router (opensearch-neural-sparse-doc-v3): one weight a term for queries, a masked language model for documents."""
    torch.manual_seed(5)
    inner = tmp_path / "document_0_MLMTransformer"
    model, tokenizer = sparse_head(inner, data)
    weights = torch.rand(len(tokenizer))
    asked = tmp_path / "query_0_SparseStaticEmbedding"
    asked.mkdir()
    tokenizer.save_pretrained(asked)
    save_file({"weight": weights}, asked / "model.safetensors")
    parts = {
        "query_0_SparseStaticEmbedding": f"{SPARSE}.SparseStaticEmbedding",
        "document_0_MLMTransformer": f"{SPARSE}.MLMTransformer",
        "document_1_SpladePooling": f"{SPARSE}.SpladePooling",
    }
    write(
        tmp_path,
        modules=modules(("", f"{ST}.Router")),
        config_sentence_transformers={"model_type": "SparseEncoder", "similarity_fn_name": "dot"},
        router_config={
            "types": parts,
            "structure": {"query": [next(iter(parts))], "document": list(parts)[1:]},
            "parameters": {"default_route": "document", "allow_empty_key": True},
        },
        **{
            "query_0_SparseStaticEmbedding/config": {"frozen": False},
            "document_0_MLMTransformer/sentence_bert_config": {"max_seq_length": 128, "do_lower_case": False},
            "document_1_SpladePooling/config": {"pooling_strategy": "max", "activation_function": "relu"},
        },
    )
    queries = np.zeros((len(data.queries), len(tokenizer)))
    for row, text in zip(queries, data.queries.texts, strict=True):
        seen = sorted(set(tokenizer(text, add_special_tokens=False)["input_ids"]))
        row[seen] = weights.numpy()[seen]
    documents = torch.stack([terms(model, tokenizer, text) for text in data.corpus.contents]).numpy()
    agree(f"splade:{tmp_path}", data, queries @ documents.T)


CROSS: dict[str, tuple[str, dict[str, Any]]] = {
    "ms-marco-MiniLM": (
        "BertForSequenceClassification",
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1.0.dev0"}},
    ),
    "older-config": (
        "BertForSequenceClassification",
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ),
    "bge-reranker": ("XLMRobertaForSequenceClassification", {}),
    "gte-reranker-modernbert": ("ModernBertForSequenceClassification", {}),
}


@pytest.mark.parametrize("name", CROSS)
def test_cross_encoders(name: str, tmp_path: Path, data: Dataset) -> None:
    """Scores are the one output a pair, whatever activation is named: a sigmoid would round far scores to ties."""
    torch.manual_seed(6)
    kind, more = CROSS[name]
    tokenizer = bert_tokenizer(tmp_path, [*data.queries.texts, *data.corpus.contents])
    model_class = getattr(transformers, kind)
    sizes = {"max_position_embeddings": 200, "pad_token_id": 0, **SMALL}
    model = model_class(model_class.config_class(vocab_size=len(tokenizer), num_labels=1, **sizes)).eval()
    model.save_pretrained(tmp_path)
    write(tmp_path, config={**json.loads((tmp_path / "config.json").read_text()), **more})
    wanted = np.zeros((len(data.queries), len(data.corpus)))
    for q, query in enumerate(data.queries.texts):
        for d, text in enumerate(data.corpus.contents):
            with torch.no_grad():
                wanted[q, d] = float(model(**tokenizer(query, text, return_tensors="pt")).logits)
    agree(f"rerank:{tmp_path},first=random,candidates=10", data, wanted)
