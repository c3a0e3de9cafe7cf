"""Items that are pictures, from the command line, with a model like CLIP."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPTokenizer
from transformers.models.clip import CLIPImageProcessorPil

COLOURS = {"red": (220, 20, 30), "blue": (30, 40, 210)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a tiny model like CLIP, pictures, and a file that names them."""
    folder = tmp_path_factory.mktemp("pictures")
    model, letters = folder / "clip", "abcdefghijklmnopqrstuvwxyz"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    model.mkdir()
    (model / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (model / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(model / "vocab.json"), str(model / "merges.txt"))
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": 52, "eos_token_id": 53, "pad_token_id": 53}
    texts = {**layers, **ends, "vocab_size": len(tokens), "max_position_embeddings": 32}
    torch.manual_seed(0)
    pictures = {**layers, "image_size": 16, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=texts, vision_config=pictures, projection_dim=12)).save_pretrained(model)
    size = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    CLIPProcessor(CLIPImageProcessorPil(**size), tokenizer).save_pretrained(model)
    (folder / "img").mkdir()
    rows = []
    for name, colour in COLOURS.items():
        for i in range(6):
            noise = np.random.default_rng(i).integers(-15, 15, (20, 20, 3))
            picture = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / "img" / f"{name}-{i}.png")
            rows.append({"picture": f"img/{name}-{i}.png", "label": name, "id": f"{name}-{i}"})
    (folder / "pictures.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def test_pictures_are_learned_and_indexed(run, files):
    read = (files / "pictures.jsonl", "--label", "label", "--images", "picture")
    learn = ("--model", files / "clip", "--groups", "4", "--codes", "2", "-o", files / "enc")
    code, out, err = run("fit", *read, *learn)
    assert code == 0, err
    assert "fitted on 12 pictures" in err
    index = ("--encoder", files / "enc", "--index", files / "index")
    code, out, err = run("index", *read, *index, "--id", "id")
    assert (code, "12 items written" in out) == (0, True), err
    code, out, _ = run("search", "red", "--index", files / "index", "--json", "--limit", "12")
    hits = json.loads(out)["hits"]
    assert {hit["text"] for hit in hits} == {hit["payload"]["image"][4:-4] for hit in hits}
    assert len(hits) == 12
