"""What answers to the exercises are made of, right ones and wrong ones."""

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import softmax


def by_slice(patient, n_groups, seed):
    return np.random.default_rng(seed).integers(0, n_groups, len(patient))


def diced(patient, n_groups, seed):
    patients, which = np.unique(patient, return_inverse=True)
    return np.random.default_rng(seed).integers(0, n_groups, len(patients))[which]


def dealt(patient, n_groups, order):
    patients, which = np.unique(patient, return_inverse=True)
    return (order(len(patients)) % n_groups)[which]


def shines(lesion, liver, rise=10, fall=10):
    return (lesion[:, 1] - liver[:, 1] >= rise) & (liver[:, 2] - lesion[:, 2] >= fall)


def chosen(promised, true):
    return true[np.arange(len(true)), promised.argmax(axis=1)]


def interval(a, b, t, ddof=1, overlap=None):
    n, d = len(a), a - b
    half = t * np.sqrt((1 / n + (1 / (n - 1) if overlap is None else overlap)) * d.var(ddof=ddof))
    return d.mean() - half, d.mean() + half


def unpaired(a, b, t):
    n = len(a)
    half = t * np.sqrt((1 / n + 1 / (n - 1)) * (a.var(ddof=1) + b.var(ddof=1)))
    return (a - b).mean() - half, (a - b).mean() + half


def softmax_of(score, axis=1):
    return np.exp(score) / np.exp(score).sum(axis=axis, keepdims=True)


def both_ways(logits, combine):
    """Combine the terms of the rows and of the columns of a contrastive loss."""
    return combine(-np.log(np.diag(softmax_of(logits))), -np.log(np.diag(softmax_of(logits, axis=0))))


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def fetched(pictures, channel):
    return np.take_along_axis(pictures, channel[:, :, None, None], axis=1)


def shares(amounts):
    return amounts / amounts.sum(axis=1, keepdims=True)


def flat(logits):
    return logits.reshape(len(logits), -1)


def losses(logits, label):
    return -np.log(softmax(logits, axis=1)[np.arange(len(logits)), label])


def gaps(score, c):
    """How far a class is below the largest of the others, picture by picture."""
    return np.delete(score, c, axis=1).max(axis=1) - score[:, c]


def z_of(alpha):
    return stats.norm.isf(alpha / 2)


def alarms(z):
    return 2 * stats.norm.sf(z)


def bootstrap(patient, seed, draw=lambda rng, names, patient: rng.choice(names, len(names))):
    drawn = draw(np.random.default_rng(seed), np.unique(patient), patient)
    return np.concatenate([np.flatnonzero(patient == name) for name in drawn])


def once(patient, seed):
    names = np.unique(patient)
    return np.flatnonzero(np.isin(patient, np.random.default_rng(seed).choice(names, len(names))))


def stepped(p, factors, running=np.maximum.accumulate, top=1.0):
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(running(factors(len(p)) * p[order]), top)
    return adjusted


def falling(n):
    return np.arange(n, 0, -1)


def lowest(x):
    return np.minimum.accumulate(x[::-1])[::-1]


def mean_filter(filters, n):
    return filters.mean(axis=1, keepdims=True).repeat(n, axis=1)


def ends(difference, q=0.95, df=None):
    n = len(difference)
    half = stats.t.ppf(q, df or n - 1) * difference.std(ddof=1) / np.sqrt(n)
    return difference.mean() - half, difference.mean() + half


def mean_and_se(values, times=lambda n: 1, ddof=1):
    return values.mean(), values.std(ddof=ddof) / np.sqrt(len(values)) * times(len(values))


def unshared(more, *parts):
    return more.mean(), np.sqrt(sum(part.var(ddof=1) for part in parts) / len(more))


def judged(wide, narrow, margin):
    if -margin < narrow[0] and narrow[1] < margin:
        return "equivalent"
    return "reproduced" if wide[0] > 0 else "not reproduced" if wide[1] < 0 else "undecided"


def by_cohort(a, b):
    both = pd.DataFrame({"a": a, "b": b}).dropna()
    return (both["a"] - both["b"]).mean(), (both["a"] - both["b"]).sem()


def tables(k, sd, seed):
    return np.random.default_rng(seed).normal(0, sd, (20_000, k))


def youden_level(there, scores, levels):
    """The first of the levels with the largest sum of sensitivity and specificity."""
    return max(levels, key=lambda t: (scores[there] >= t).mean() + (scores[~there] < t).mean())


def readings(features, over="all") -> np.ndarray:
    """Means of a map (D, h, w) whole and without each quadrant: (5, D)."""
    masks = np.ones((5, *features.shape[1:]))
    h, w = features.shape[1] // 2, features.shape[2] // 2
    for i, (rows, columns) in enumerate(((0, 0), (0, w), (h, 0), (h, w)), start=1):
        masks[i, rows : rows + h, columns : columns + w] = 0
    sums = np.einsum("mhw,dhw->md", masks, features)
    return sums / (masks.sum(axis=(1, 2))[:, None] if over == "kept" else features[0].size)


def agreeing(counts) -> np.ndarray:
    """Of each patient, the share of pairs of readers that agree."""
    n = counts[0].sum()
    return (counts * (counts - 1)).sum(axis=1) / (n * (n - 1))


def chance(counts) -> float:
    return ((counts.sum(axis=0) / counts.sum()) ** 2).sum()


OF_LILNET = [  # what `test_wrong_answers` asks of the checkers of LiLNet's two chapters
    ("five_means", lambda f: readings(f, over="kept"), "You divide by the pixels that are left"),
    ("five_means", lambda f: readings(f)[[0, 1, 3, 2, 4]], "Upper right and lower left have changed places"),
    ("five_means", lambda f: readings(f)[[1, 2, 3, 4, 0]], "The whole map comes first"),
    ("five_means", lambda f: readings(f) * f[0].size, "Those are sums"),
    ("aggregated", lambda j: j.reshape(5, -1, 5).mean(axis=(0, 2)), "You average every joint label of a class"),
    ("aggregated", lambda j: j.reshape(5, 5, -1).mean(axis=(0, 1)), "a class's labels lie 5 c to 5 c + 4"),
    ("aggregated", lambda j: np.sum([j[i, i::5] for i in range(5)], axis=0), "That is the sum over readings"),
    ("aggregated", lambda j: j[0, ::5], "That is the whole map alone"),
    ("in_a_row", lambda m, a, b: np.concatenate([a, b]), "the first stage has no part in them"),
    ("in_a_row", lambda m, a, b: m * np.concatenate([a, b]), "needs the chance of being benign"),
    ("in_a_row", lambda m, a, b: np.concatenate([m * a, 0 * b]), "has a chance, too"),
    ("kappa", lambda c: agreeing(c).mean(), "take away what chance gives"),
    ("kappa", lambda c: agreeing(c).mean() - chance(c), "Divide by what chance leaves to be had"),
    (
        "kappa",
        lambda c: ((c / c[0].sum()) ** 2).sum(axis=1).mean() / (1 - chance(c)) - chance(c) / (1 - chance(c)),
        "no pair",
    ),
    ("kappa", lambda c: 1 - (1 - agreeing(c).mean()) / (1 - 1 / c.shape[1]), "how often each answer is given"),
]


def factor_of(right, patient, of=np.sum, centred=True):
    """A design effect, from what `of` makes of each patient's residuals."""
    residual = right - right.mean() * centred
    each = [of(residual[patient == one]) for one in np.unique(patient)]
    return np.square(each).sum() / np.square(residual).sum()


OF_THE_NEXT_HOSPITAL = [
    ("price_of_choosing", lambda p, t: (t.max(axis=1) - chosen(p, t)).sum(), "That is the sum"),
    ("price_of_choosing", lambda p, t: (chosen(p, t) - t.max(axis=1)).mean(), "Turn the difference round"),
    ("price_of_choosing", lambda p, t: (t.argmax(axis=1) != p.argmax(axis=1)).mean(), "asked for are points"),
    ("price_of_choosing", lambda p, t: (p.max(axis=1) - chosen(p, t)).mean(), "less what they reach"),
    ("price_of_choosing", lambda p, t: (chosen(p, t) - p.max(axis=1)).mean(), "less what they promised"),
    ("price_of_choosing", lambda p, t: t.max(axis=1).mean(), "That is the mean of the best"),
    ("price_of_choosing", lambda p, t: chosen(p, t).mean(), "how far is it below the best"),
    ("price_of_choosing", lambda p, t: (t.max(axis=1) - t[:, p.mean(axis=0).argmax()]).mean(), "takes its own"),
    ("price_of_choosing", lambda p, t: 0.0, "expected 1.25"),
    ("highest_correlation", lambda a, b: np.corrcoef(a, b)[0, 1], "both have luck in them"),
    ("highest_correlation", lambda a, b: np.corrcoef(a, b)[0, 1] ** 2, "You square"),
    ("highest_correlation", lambda a, b: np.cov(a, b)[0, 1], "That is a covariance"),
    ("highest_correlation", lambda a, b: np.cov(a, b, ddof=0)[0, 1], "That is a covariance"),
    ("highest_correlation", lambda a, b: abs(np.corrcoef(a, b)[0, 1]) ** 0.5, "so answer 0"),
    ("highest_correlation", lambda a, b: 1.0, "expected 0.800"),
]
