"""What LiLNet's maps show of its six classes, and whether the paper's sentences on them say more than a wrong map does.

Class activation maps of the network that was taught, of the same network taught on permuted labels, of random weights,
and a map that says "near the middle" whatever is in the picture.  Each sentence of the paper that can be measured
(section "Deep learning analysis") is measured on all four.  The plan is `data/results/lilnet_maps.md`.
"""

import argparse
import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from ..base.errors import InputError
from ..base.paths import data_file
from ..evaluation.grad_cam import energy_over_area, grad_cam, on_pixels
from ..models.lilnet import LiLNet
from ..models.lilnet_training import slice_probabilities, train_lilnet
from ..models.settings import LiLNetSettings
from ..phantom.centres import centre_set
from ..runs.cells import one_thread
from ..runs.records import data_provenance, run_provenance
from ..runs.runner import run
from ..scans.conventions import LILNET_CLASSES
from ..scans.lesions import LesionSet
from ..scans.seeds import seed_of
from ..scans.windowing import images
from . import planned
from .explained.networks import permuted_labels

COHORTS = 3
NETWORKS = ("LiLNet", "labels permuted", "untrained")
ARMS = (*NETWORKS, "middle")
MEASURES = ("on the lesion", "centre over rim", "unevenness", "level", "spread")
SHAP_CLASS, SHAP_SAMPLES, SHAP_BACKGROUND = "HCC", 20, 60


@dataclass(frozen=True)
class Cohort:
    """One network of each arm, and the patients of its hospital that it is asked about.

    taught: patients, in the paper's shares.  asked: of each class, one slice each.
    """

    number: int
    taught: int = 200
    asked: int = 20
    epochs: int = 12
    size: int = 224  # the paper's; a ResNet then ends in a map of 7 x 7 places
    encoder: str = "resnet10_narrow"

    def path(self, out: str | Path) -> Path:
        return Path(out).absolute() / f"cohort{self.number:03d}.json"

    def _set(self, name: str, use: str, patients: int | Mapping[str, int]) -> LesionSet:
        seeds = {"seed": seed_of(use, self.number), "hospital": seed_of("centres development", self.number)}
        return centre_set(name, size=self.size, patients=patients, progress=False, **seeds).lesions

    def taught_on(self) -> LesionSet:
        return self._set("training", "centres development", self.taught)

    def asked_about(self) -> LesionSet:
        """The slice of each patient that is nearest to the middle of its lesion."""
        lesions = self._set("test", "centres explained", dict.fromkeys(LILNET_CLASSES, self.asked))
        of = [np.flatnonzero(lesions.patient == one) for one in np.unique(lesions.patient)]
        return lesions.subset(np.array([rows[len(rows) // 2] for rows in of]))

    def networks(self, lesions: LesionSet) -> dict[str, LiLNet]:
        settings, every = LiLNetSettings(LILNET_CLASSES, self.encoder), np.arange(len(lesions))
        torch.manual_seed(self.number)
        made = {"untrained": LiLNet(settings).eval()}
        wrong = replace(lesions, label=permuted_labels(lesions, self.number))
        for arm, taught_on in (("LiLNet", lesions), ("labels permuted", wrong)):
            network, _ = train_lilnet(taught_on, every, settings, self.epochs, seed=self.number, progress=False)
            made[arm] = network.cpu().eval()
        return made

    def record(self) -> dict[str, Any]:
        with one_thread():
            taught, asked = self.taught_on(), self.asked_about()
            every, networks = np.arange(len(asked)), self.networks(taught)
            coarse = {arm: own_maps(network, asked) for arm, network in networks.items()}
            maps = {arm: on_pixels(one, self.size).numpy() for arm, one in coarse.items()}
            maps["middle"] = np.broadcast_to(middle(self.size), maps["LiLNet"].shape)
            right = {a: (slice_probabilities(n, asked, every).argmax(1) == asked.label) for a, n in networks.items()}
            hcc = asked.subset(np.flatnonzero(asked.label == LILNET_CLASSES.index(SHAP_CLASS)))
            background = taught.subset(np.arange(0, len(taught), max(len(taught) // SHAP_BACKGROUND, 1)))
            red = {arm: shap_on_the_lesion(networks[arm], hcc, background) for arm in ("LiLNet", "labels permuted")}
            first = [np.flatnonzero(asked.label == k)[0] for k in range(len(LILNET_CLASSES))]
            grey = 127.5 * (images(asked, np.array(first))[:, 0].numpy() + 1)  # of ART
        return {
            **run_provenance(),
            "settings": asdict(self),
            "data": {"taught": data_provenance(taught), "asked": data_provenance(asked)},
            "label": np.uint8(asked.label),
            "right": {arm: np.uint8(one) for arm, one in right.items()},
            "measures": {arm: np.float32(measured(maps[arm], asked)) for arm in ARMS},
            "shap on the lesion": {arm: np.float32(one) for arm, one in red.items()},
            "maps": {arm: np.float16(one.numpy()) for arm, one in coarse.items()},
            "pictures": np.uint8(grey.round()),
        }


def own_maps(network: LiLNet, lesions: LesionSet) -> Tensor:
    """Class activation maps of the plain classifier for each slice's own class, phase by phase: (n, P, h, w), signed.

    On the last feature map, whose mean the classifier reads, so that Grad-CAM is the class activation map.
    """
    pictures = images(lesions)  # (n, P, S, S)
    maps = torch.cat([grad_cam(network.encoder, network.plain, one[None, None]) for one in pictures.flatten(0, 1)])
    own = torch.from_numpy(lesions.label).repeat_interleave(pictures.shape[1])
    return maps[torch.arange(len(own)), own].unflatten(0, pictures.shape[:2])


def middle(size: int) -> np.ndarray:
    """(S, S): high in the middle of the picture, whatever is in it, and negative towards the corners."""
    y, x = np.indices((size, size)) / (size - 1) - 0.5
    return np.exp(-(x**2 + y**2) / (2 * 0.2**2)) - 0.2


def measured(maps: np.ndarray, lesions: LesionSet) -> np.ndarray:
    """What maps (n, P, S, S) show, means over phases: (n, 5), a column for each of `MEASURES`.

    on the lesion: how often a place of the lesion has more than a place beside it (AUC), 0.5 where a map is even.
    centre over rim: the mean in the deeper half of the lesion less that in the outer half.  unevenness: the sd within
    the lesion.  Both are told in sds of the whole map.  level: the mean in the lesion; the places of the 7 x 7 map add
    up to the logit.  spread: the share of the picture that is above the middle between the least and the highest value.
    """
    lesion = lesions.mask("lesion")
    return np.array(
        [
            np.mean([_of_one(m, part) for m, part in zip(*both, strict=True)], axis=0)
            for both in zip(maps, lesion, strict=True)
        ]
    )


def _of_one(values: np.ndarray, lesion: np.ndarray) -> tuple[float, ...]:
    depth, sd = distance_transform_edt(lesion), values.std()
    deep = depth > np.median(depth[lesion])
    inside = values[lesion]
    return (
        roc_auc_score(lesion.ravel(), values.ravel()),
        (values[deep].mean() - values[lesion & ~deep].mean()) / sd,
        inside.std() / sd,
        inside.mean(),
        (values > (values.min() + values.max()) / 2).mean(),
    )


def shap_on_the_lesion(network: nn.Module, lesions: LesionSet, background: LesionSet) -> np.ndarray:
    """Of SHAP values, the lesion's share of what is positive over its share of the area: (n, N), for every class.

    Means over phases.  By the `GradientExplainer` of the package shap, as the paper's.
    """
    import shap

    explainer = shap.GradientExplainer(network, images(background).flatten(0, 1)[:, None])
    lines = []
    for picture, mask in zip(images(lesions), lesions.mask("lesion"), strict=True):
        values = explainer.shap_values(picture[:, None], nsamples=SHAP_SAMPLES, rseed=0)  # (P, 1, S, S, N)
        whole = np.ones_like(mask[0])
        of = [
            [energy_over_area(one[..., k], part, whole) for k in range(one.shape[-1])]
            for one, part in zip(values[:, 0], mask, strict=True)
        ]
        lines.append(np.mean(of, axis=0))
    return np.array(lines)


@functools.cache
def sentences() -> pd.DataFrame:
    """The paper's sentences that can be measured: class, words, measure, and what it should be above or below."""
    return pd.read_csv(data_file("lilnet_sentences.csv"))


def read_records(folder: str | Path | None = None) -> list[dict]:
    """The records that are there, by number; by default the book's own."""
    return planned.read_records("lilnet_maps", folder)


def shown(record: dict) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The first patient of each class in ART: pictures (6, S, S) in grey, and by arm their maps, spread over them."""
    pictures, first = record["pictures"], np.unique(record["label"], return_index=True)[1]
    coarse = {arm: torch.from_numpy(np.float32(record["maps"][arm][first, :1])) for arm in NETWORKS}
    return pictures, {arm: on_pixels(maps, pictures.shape[-1])[:, 0].numpy() for arm, maps in coarse.items()}


def named(records: Sequence[dict]) -> dict[str, float]:
    """Of the slices that the maps are of, the share whose class each network names, from 0 to 1, by arm."""
    return {arm: np.concatenate([record["right"][arm] for record in records]).mean() for arm in NETWORKS}


def told(records: Sequence[dict]) -> pd.DataFrame:
    """Each sentence, measured on the maps of each arm: a line for both.

    Columns: class, words, measure, arm; difference, to the number or to the other patients that the sentence names,
    turned so that positive is what it says; low, high, its 95 % interval by t over patients, for these networks; n,
    patients of the class; and it: "holds", "the opposite", "open", or "-" where a map has one number for every picture.
    An `InputError` where a measure is not finite.
    """
    label = np.concatenate([record["label"] for record in records])
    kind = np.array(LILNET_CLASSES)[label]
    lines = []
    for _, one in sentences().iterrows():
        mine = np.full(len(kind), True) if one["class"] == "all" else kind == one["class"]
        for arm in ARMS:
            values = np.concatenate([r["measures"][arm] for r in records])[:, MEASURES.index(one["measure"])]
            if not np.isfinite(values).all():
                bad = np.flatnonzero(~np.isfinite(values)).tolist()
                raise InputError(f"maps of {arm}, {one['measure']}: not finite for the slices {bad}")
            values = np.where(one["side"] == "above", 1, -1) * values.astype(float)
            if one["than"] in ("others", *LILNET_CLASSES):
                other = ~mine if one["than"] == "others" else kind == one["than"]
                found = stats.ttest_ind(values[mine], values[other], equal_var=False)
                difference = values[mine].mean() - values[other].mean()
            else:
                values -= float(one["than"]) * (1 if one["side"] == "above" else -1)
                found, difference = stats.ttest_1samp(values[mine], 0), values[mine].mean()
            low, high = found.confidence_interval()
            # The spread of the middle is one number for every picture: it cannot be asked.
            it = "-" if np.ptp(values) == 0 else "holds" if low > 0 else "the opposite" if high < 0 else "open"
            lines.append((one["class"], one["words"], one["measure"], arm, difference, low, high, mine.sum(), it))
    return pd.DataFrame(lines, columns=["class", "words", "measure", "arm", "difference", "low", "high", "n", "it"])


def by_sentence(records: Sequence[dict]) -> pd.DataFrame:
    """`told`, a line for each sentence: what is asked, LiLNet's difference with its interval, each arm's verdict.

    With fewer records than planned, what is asked alone.
    """
    asked = sentences()
    asked = asked.assign(asked=asked["measure"] + " " + asked["side"] + " " + asked["than"])
    table = asked.set_index(["class", "words"])[["asked"]]
    if len(records) < COHORTS:
        return table
    lines = told(records).set_index(["class", "words", "measure"])
    own = lines[lines["arm"] == ARMS[0]]
    ends = zip(own["difference"], own["low"], own["high"], strict=True)
    table["difference"] = ["{:+.2f} ({:+.2f} to {:+.2f})".format(*one) for one in ends]
    return table.assign(**{arm: lines.loc[lines["arm"] == arm, "it"].to_numpy() for arm in ARMS})


def shap_told(records: Sequence[dict]) -> pd.DataFrame:
    """How much more positive SHAP lies on the lesion of an HCC than an even map puts there: a line for each class.

    The last line is that of HCC less the mean of the others in the same patient.  Columns: by arm the mean over
    patients, and the ends of its 95 % interval by t.
    """
    table, hcc = {}, LILNET_CLASSES.index(SHAP_CLASS)
    for arm in ("LiLNet", "labels permuted"):
        values = np.concatenate([r["shap on the lesion"][arm] for r in records]).astype(float)
        less = values[:, hcc] - np.delete(values, hcc, axis=1).mean(axis=1)
        values = np.column_stack([values, less])
        low, high = stats.t.interval(0.95, len(values) - 1, values.mean(axis=0), stats.sem(values, axis=0))
        table |= {(arm, "mean"): values.mean(axis=0), (arm, "low"): low, (arm, "high"): high}
    return pd.DataFrame(table, index=[*LILNET_CLASSES, f"{SHAP_CLASS} less the others"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.lilnet_maps", description=__doc__)
    parser.add_argument("--cohorts", type=int, default=COHORTS)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="of the records")
    options = parser.parse_args()
    run([Cohort(number) for number in range(options.cohorts)], options.out, name="cohorts", jobs=options.jobs)


if __name__ == "__main__":
    main()
