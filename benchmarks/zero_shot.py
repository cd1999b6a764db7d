"""Zero-shot answers with the classes' vectors made once, against sentences that are encoded in every batch."""

import torch
from common import Figure, in_turn

from livervlm.models import tiny_clip, zero_shot
from livervlm.models.prompts import prompts_by_order
from livervlm.scans.conventions import CANONICAL, LIVER_VLM_CLASSES

PICTURES, BATCH = 512, 32


def measure() -> list[Figure]:
    model = tiny_clip.TinyCLIP().eval()
    pictures = torch.rand(PICTURES, 3, tiny_clip.SIZE, tiny_clip.SIZE)
    prompts = prompts_by_order("medical", LIVER_VLM_CLASSES, CANONICAL)[0]

    @torch.inference_mode()
    def once():
        classes = zero_shot.class_embeddings(model, prompts)
        return torch.cat([zero_shot.probabilities(model, part, classes) for part in pictures.split(BATCH)])

    @torch.inference_mode()
    def every_time():
        parts = pictures.split(BATCH)
        return torch.cat(
            [zero_shot.probabilities(model, part, zero_shot.class_embeddings(model, prompts)) for part in parts]
        )

    assert torch.allclose(once(), every_time(), atol=1e-6)
    cached, naive = in_turn(once, every_time)
    what = f"{PICTURES} pictures, batches of {BATCH}, {sum(map(len, prompts))} sentences, the toy CLIP"
    return [Figure(what, naive / cached, "times as fast as", "sentences encoded for every batch")]
