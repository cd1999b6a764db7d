"""Five folds of the book against a notebook as they are often written, and against two trainers of other libraries.

The notebook: files through PIL and torchvision's transforms in a DataLoader, the text encoder in every step, float32,
NCHW memory, `.item()` in every step.  Same network, patients, epochs, batches and learning rate.
"""

import subprocess
import sys
from time import perf_counter

import numpy as np
import torch
from common import ROOT, Figure, seconds
from PIL import Image
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import DataLoader, Dataset, TensorDataset

from livervlm import load_dataset
from livervlm.base.compat import import_torchvision
from livervlm.base.device import autocast_dtype, best_device
from livervlm.base.profiles import Profile
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.prompts import prompts_by_order
from livervlm.models.text import TEXT_ENCODERS, find_weights
from livervlm.models.trainer import config_for, train_model
from livervlm.models.training import predict
from livervlm.scans.windowing import images

import_torchvision()  # before what imports it

from torchvision import transforms  # noqa: E402
from transformers import AutoModel, AutoTokenizer  # noqa: E402

EPOCHS, SIZE, BATCH, LR = 4, 64, 32, 5e-4
MONAI = ROOT / ".cache" / "competitors"  # an environment of its own: never in the lock


class Slices(Dataset):
    """Slices as a notebook keeps them: 8-bit pictures, and transforms for each whenever it is asked for."""

    def __init__(self, lesions, index):
        grey = ((images(lesions, index).numpy() + 1) * 127.5).round().astype(np.uint8)
        self.pictures = [Image.fromarray(one) for one in grey.transpose(0, 2, 3, 1)]
        self.label = lesions.label[index]
        self.transform = transforms.Compose(
            [transforms.Resize((SIZE, SIZE)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
        )

    def __len__(self):
        return len(self.label)

    def __getitem__(self, i):
        return self.transform(self.pictures[i]), int(self.label[i])


def measure() -> list[Figure]:
    lesions = load_dataset("phantom", size=SIZE, progress=False)
    found = []
    for encoder in ("resnet18", "resnet10_narrow"):
        profile = Profile("benchmark", SIZE, EPOCHS, "minilm", encoder)
        spent, right = {}, {}
        for name, way in {"the book": _book, "a notebook": _notebook}.items():
            start = perf_counter()
            right[name] = [way(lesions, profile, train, test) for _, train, test in lesions.folds()]
            spent[name] = perf_counter() - start
        what = f"five folds, {encoder}, {SIZE} px, {EPOCHS} epochs"
        found.append(Figure(what, spent["a notebook"] / spent["the book"], "times as fast as", "a notebook", ">= 8"))
        found += [Figure(f"accuracy, {what}, {name}", 100 * float(np.mean(r)), "%") for name, r in right.items()]
    return found + _trainers(lesions)


def _book(lesions, profile, train, test) -> float:
    model, _ = train_model(lesions, train, config_for(lesions, profile), profile, progress=False)
    return (predict(model, images(lesions, test)).argmax(dim=1).numpy() == lesions.label[test]).mean()


def _notebook(lesions, profile, train, test) -> float:
    torch.manual_seed(0)
    device = best_device()
    model = LiverVLM(config_for(lesions, profile)).to(device)
    folder = find_weights(TEXT_ENCODERS["minilm"])
    tokenizer, reader = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval().to(device)
    sentences = [variants[0] for variants in prompts_by_order("enriched", lesions.classes, lesions.phases)[0]]
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)

    def logits(pictures):
        with torch.no_grad():
            text = reader(**tokenizer(sentences, padding=True, return_tensors="pt").to(device)).last_hidden_state.mean(
                dim=1
            )
        image = normalize(model.head.fc_i(model.encoder(pictures)), dim=1)
        return model.head.logit_scale * image @ normalize(model.head.fc_t(text), dim=1).T

    losses = []
    for _ in range(EPOCHS):
        model.train()
        for pictures, label in DataLoader(Slices(lesions, train), BATCH, shuffle=True):
            loss = cross_entropy(logits(pictures.to(device)), label.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    model.eval()
    right = 0
    with torch.no_grad():
        for pictures, label in DataLoader(Slices(lesions, test), BATCH):
            right += (logits(pictures.to(device)).argmax(1).cpu() == label).sum().item()
    return right / len(test)


def _trainers(lesions) -> list[Figure]:
    """One training of ResNet18 by the package, by Lightning and by MONAI, from tensors in memory."""
    import pytorch_lightning as lightning

    if not (MONAI / "monai").exists():
        wanted = ["monai", "pytorch-ignite"]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", MONAI, *wanted], check=True
        )
    sys.path.append(str(MONAI))
    from monai.engines import SupervisedTrainer

    profile = Profile("benchmark", SIZE, EPOCHS, "minilm")
    train = np.arange(len(lesions))
    data = TensorDataset(images(lesions), torch.from_numpy(lesions.label))
    loader = DataLoader(data, BATCH, shuffle=True)

    class Module(lightning.LightningModule):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def training_step(self, batch, number):
            return cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=LR)

    def package():
        train_model(lesions, train, config_for(lesions, profile), profile, progress=False)

    def by_lightning():
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        dtype = autocast_dtype(best_device())
        precision = {torch.bfloat16: "bf16-mixed", torch.float16: "16-mixed", None: "32-true"}[dtype]
        trainer = lightning.Trainer(
            max_epochs=EPOCHS, accelerator="auto", precision=precision, enable_checkpointing=False, **quiet
        )
        trainer.fit(Module(LiverVLM(config_for(lesions, profile))), loader)

    def by_monai():
        model = LiverVLM(config_for(lesions, profile)).to(best_device())
        SupervisedTrainer(
            device=best_device(),
            max_epochs=EPOCHS,
            train_data_loader=[{"image": image, "label": label} for image, label in loader],
            network=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=LR),
            loss_function=cross_entropy,
        ).run()

    ours, *others = (min(seconds(run) for _ in range(2)) for run in (package, by_lightning, by_monai))
    names = ("PyTorch Lightning", "MONAI's SupervisedTrainer")
    what = f"one training, resnet18, {SIZE} px, {EPOCHS} epochs"
    return [Figure(what, spent / ours, "times as fast as", name) for name, spent in zip(names, others, strict=True)]
