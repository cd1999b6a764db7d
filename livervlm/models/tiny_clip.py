"""A CLIP small enough to train in a lesson: drawn pictures, captions of a few words, one contrastive loss.

The pictures are compositions such as "a striped red circle".  Some compositions are held out, though each of their
words is learned in others: a picture of one can only be named zero-shot (Radford et al. 2021).
"""

import re
from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, normalize
from torch.nn.utils.rnn import pad_sequence

from ..base.compat import import_torchvision
from .training import Batch

SIZE, CONTEXT = 32, 24  # pixels, the side of a picture; tokens, the longest sentence
TEXTURES = ("plain", "striped", "dotted", "checkered")
COLOURS = {  # red, green, blue from 0 to 1
    "red": (0.9, 0.15, 0.15),
    "orange": (0.95, 0.55, 0.1),
    "yellow": (0.9, 0.9, 0.15),
    "green": (0.15, 0.75, 0.2),
    "blue": (0.15, 0.3, 0.95),
    "purple": (0.65, 0.2, 0.8),
}
SHAPES = ("circle", "ring", "square", "cross", "triangle")
TEMPLATES = ("a {}", "a picture of a {}", "this is a {}", "one {} on grey")
Composition = tuple[str, str, str]  # texture, colour, shape


def compositions() -> tuple[list[Composition], list[Composition]]:
    """Those to learn from, 96, and those held out, 24: every pair of words of a held-out one is seen with a third."""
    parts = [], []
    for (t, texture), (c, colour), (s, shape) in product(enumerate(TEXTURES), enumerate(COLOURS), enumerate(SHAPES)):
        parts[(t + c + s) % len(SHAPES) == 0].append((texture, colour, shape))
    return parts


def caption(composition: Composition, template: str = TEMPLATES[0]) -> str:
    """A template filled: "a striped red circle"."""
    return template.format(" ".join(composition))


def draw(which: Sequence[Composition], seed: int = 0) -> Tensor:
    """A picture of each composition, (N, 3, SIZE, SIZE) in [0, 1]; place, size, angle, tint and background vary."""
    rng = np.random.default_rng(seed)

    def between(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, (len(which), *shape)).astype(np.float32)

    def chosen(masks: dict[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
        return np.stack([masks[name][n] for n, name in enumerate(names)])[:, None]  # (N, 1, SIZE, SIZE)

    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)  # (SIZE, SIZE) each
    x, y = x - between(-0.15, 0.15, 1, 1), y - between(-0.15, 0.15, 1, 1)  # (N, SIZE, SIZE)
    radius, angle = between(0.55, 0.75, 1, 1), between(-0.3, 0.3, 1, 1)  # radians
    x, y = (x * np.cos(angle) + y * np.sin(angle)) / radius, (y * np.cos(angle) - x * np.sin(angle)) / radius
    far, wide, thin = np.hypot(x, y), np.maximum(abs(x), abs(y)), np.minimum(abs(x), abs(y))
    inside = {
        "circle": far < 1,
        "ring": (far < 1) & (far > 0.5),
        "square": wide < 0.85,
        "cross": (wide < 1) & (thin < 0.35),
        "triangle": (y < 0.75) & (y > 2 * abs(x) - 1),
    }
    u, v = (np.sin(9 * axis + between(0, 2 * np.pi, 1, 1)) for axis in (x, y))  # two waves across the picture
    bright = {"plain": u > -2, "striped": u > 0, "dotted": u + v < 0.8, "checkered": u * v > 0}
    textures, colours, shapes = zip(*which, strict=True)
    tint = np.float32([COLOURS[name] for name in colours])[..., None, None] + between(-0.08, 0.08, 3, 1, 1)
    ink = tint * np.where(chosen(bright, textures), 1, 0.3)  # (N, 3, SIZE, SIZE)
    picture = np.where(chosen(inside, shapes), ink, between(0.2, 0.8, 1, 1, 1))
    return torch.from_numpy((picture + rng.normal(0, 0.03, picture.shape)).clip(0, 1).astype(np.float32))


PAD, UNKNOWN, START, END = range(4)
_LEARNED = " ".join((*TEMPLATES, *TEXTURES, *COLOURS, *SHAPES)).replace("{}", "").split()
WORDS = tuple(dict.fromkeys(["<pad>", "<unk>", "<start>", "<end>", *_LEARNED]))


def split_words(sentence: str) -> list[str]:
    """The words of a sentence, in small letters."""
    return re.findall(r"[\w-]+", sentence.lower())


def tokenize(sentences: Sequence[str], words: Sequence[str] = WORDS, context: int = CONTEXT) -> Tensor:
    """Word numbers between <start> and <end>, padded to the longest, (N, L); a word outside `words` is <unk>.

    context: the most tokens; what is longer is cut.
    """
    number = {word: n for n, word in enumerate(words)}
    rows = [[number.get(word, UNKNOWN) for word in split_words(one)[: context - 2]] for one in sentences]
    return pad_sequence([torch.tensor([START, *row, END]) for row in rows], batch_first=True, padding_value=PAD)


class TinyCLIP(nn.Module):
    """`transformers.CLIPModel`, CLIP's own two towers, at about a thousandth of its size and with random weights.

    It answers the calls of a `zero_shot.ZeroShotModel`, so that what classifies with those classifies with this.
    """

    ensemble = "features"

    def __init__(self, seed: int = 0, words: Sequence[str] = WORDS, context: int = CONTEXT):
        super().__init__()
        self.words, self.context = tuple(words), context
        import_torchvision()  # before transformers, which imports it
        from transformers import CLIPConfig, CLIPModel

        tower = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
        vision = {"image_size": SIZE, "patch_size": 8, "num_hidden_layers": 3}
        text = {"vocab_size": len(words), "max_position_embeddings": context, "num_hidden_layers": 2}
        text |= {"pad_token_id": PAD, "bos_token_id": START, "eos_token_id": END}
        torch.manual_seed(seed)
        self.clip = CLIPModel(CLIPConfig(text_config=tower | text, vision_config=tower | vision, projection_dim=64))

    @property
    def logit_scale(self) -> Tensor:
        """The factor on the cosine, learned, at most 100."""
        return self.clip.logit_scale.exp().clamp(max=100)

    def encode_images(self, rgb: Tensor) -> Tensor:
        """Unit vectors (B, 64) of pictures (B, 3, H, W) in [0, 1], resized where they are not SIZE by SIZE."""
        if rgb.shape[-2:] != (SIZE, SIZE):
            rgb = interpolate(rgb, (SIZE, SIZE), mode="bilinear", antialias=True)
        pooled = self.clip.vision_model(2 * rgb - 1).pooler_output  # (B, hidden)
        return normalize(self.clip.visual_projection(pooled).float(), dim=-1)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Sentences in the toy's own words, (T, L)."""
        return tokenize(texts, self.words, self.context)

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Unit vectors (T, 64) of tokenized sentences (T, L)."""
        pooled = self.clip.text_model(tokens).pooler_output  # (T, hidden), read at <end>
        return normalize(self.clip.text_projection(pooled).float(), dim=-1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (T, 64) of sentences."""
        return self.encode_tokens(self.tokens(texts))

    def with_words(self, texts: Sequence[str], context: int = 2 * CONTEXT) -> "TinyCLIP":
        """The same towers with every word of some texts in the vocabulary, and room for longer sentences.

        What is new, words and the places of later tokens, has random weights: it knows nothing yet.
        """
        more = (word for text in texts for word in split_words(text))
        words = tuple(dict.fromkeys([*self.words, *more]))
        model, state = TinyCLIP(words=words, context=max(context, self.context)), self.state_dict()
        for name, fresh in model.state_dict().items():
            if "token_embedding" in name or "position_embedding" in name:
                state[name] = torch.cat([state[name], fresh[len(state[name]) :]])
        model.load_state_dict(state)
        return model


def info_nce(logits: Tensor, same: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE: every picture finds its sentence, every sentence its picture (CLIP's figure 3).

    logits: (B, B), the pairs on the diagonal.  same: (B, B) bool, twins, which say the same, are left out.
    """
    own = torch.arange(len(logits), device=logits.device)
    if same is not None:
        logits = logits.masked_fill(same & (own[:, None] != own), -torch.inf)
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def contrastive(model: TinyCLIP, batch: Batch, generator: torch.Generator) -> Tensor:
    """The task for `training.fit`: a batch of "image", "tokens" and "label", the number of the composition."""
    image, text = model.encode_images(batch["image"]), model.encode_tokens(batch["tokens"])  # (B, 64) each
    with torch.autocast(image.device.type, enabled=False):  # a bfloat16 cosine has two digits
        logits = model.logit_scale * image @ text.T  # (B, B)
    return info_nce(logits, batch["label"][:, None] == batch["label"])
