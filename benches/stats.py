"""The same statistics as stats.rs in scikit-learn and choix; prints seconds and answers as JSON.

Usage: stats.py FOLDER ROUNDS. Python needs numpy, scipy, scikit-learn and choix. The folder holds

length.csv       cluster,preference,length_difference: a preference in [0, 1] a row
tournaments.csv  tournament,winner,loser,weight: a game a row

Each line of output is one way to do one piece of work: its name, the tool, the seconds of each round
and the answers of the last, without the loading of the files.

length_control: a win rate at equal lengths (a logistic regression of the preference on the tanh of
the standardised difference and a constant) and its 95 % interval from resampled clusters.

tournaments: Bradley-Terry strengths with a ridge in each tournament. scikit-learn and stats.rs
maximise the same thing. choix takes weights only in `ilsr_pairwise_dense`, whose regularisation is no
ridge, so its strengths differ; its `opt_pairwise` has the ridge, takes no weights and is nearly ten
times slower.

scikit-learn is asked twice: for one fit after another, with liblinear, its fastest solver there, and
for all at once, as one sparse fit whose blocks share no coefficient, with newton-cg, its fastest
there.
"""

import json
import sys
import warnings
from importlib import metadata
from pathlib import Path
from time import perf_counter

import choix
import numpy as np
import sklearn
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

RESAMPLES = 1000
RIDGE = 0.01

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
warnings.simplefilter("error", ConvergenceWarning)
sklearn.set_config(assume_finite=True, skip_parameter_validation=True)


def read(name):
    return np.loadtxt(folder / name, delimiter=",", skiprows=1, ndmin=2).T


cluster, preference, difference = read("length.csv")
cluster = np.unique(cluster, return_inverse=True)[1]
tournament, winner, loser, weight = read("tournaments.csv")
tournament = np.unique(tournament, return_inverse=True)[1]
winner, loser = winner.astype(int), loser.astype(int)


def regression(solver, c, tol):
    return LogisticRegression(C=c, fit_intercept=False, solver=solver, tol=tol, max_iter=1000)


def one_by_one(features, labels, weights, c):
    model = regression("liblinear", c, 1e-8)
    return np.array([model.fit(f, labels, w).coef_[0] for f, w in zip(features, weights)])


def at_once(values, columns, labels, weights, c, start=None):
    """Fits all problems as one. The values of a problem are rows × non-zero features, and the columns
    say which features these are."""
    problems, width = len(weights), columns.max() + 1
    kept, shape = weights > 0, (*weights.shape, columns.shape[-1])
    offset = width * np.arange(problems, dtype=np.int32)[:, None, None]
    columns = np.broadcast_to(columns + offset, shape)[kept]
    values = np.broadcast_to(values, shape)[kept]
    ends = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    matrix = csr_array((values.ravel(), columns.ravel(), ends), (len(values), problems * width))
    # The solver's tolerance is of a gradient that is divided by the weight of all problems together.
    model = regression("newton-cg", c, 1e-10)
    if start is not None:
        model.set_params(warm_start=True)
        model.coef_, model.intercept_ = np.tile(start, (1, problems)), np.zeros(1)
    model.fit(matrix, np.broadcast_to(labels, weights.shape)[kept], weights[kept])
    return model.coef_.reshape(problems, width)


def length_control(refit):
    """A soft label is two rows, one of each label, that share its weight."""
    labels = np.repeat([1, 0], len(preference))
    shares = np.concatenate([preference, 1 - preference])

    def standardised(weights):
        count, centred = weights.sum(1), difference - difference.mean()
        variance = (weights @ centred**2 - (weights @ centred) ** 2 / count) / (count - 1)
        return np.tanh(difference / np.sqrt(variance)[:, None])

    def twice(rows):
        return np.tile(rows, (1, 2))

    def features(lengths):
        lengths = twice(lengths)
        return np.stack([lengths, np.ones_like(lengths)], -1)

    all_rows = np.ones((1, len(preference)))
    # liblinear knows no C without an end.
    whole = one_by_one(features(standardised(all_rows)), labels, [shares], 1e8)[0]
    clusters = cluster.max() + 1
    dice = np.random.default_rng(0)
    drawn = dice.multinomial(clusters, np.full(clusters, 1 / clusters), RESAMPLES)
    drawn = drawn[:, cluster].astype(float)
    resampled = refit(features(standardised(drawn)), labels, twice(drawn) * shares, whole)
    low, high = np.percentile(100 * expit(resampled[:, 1]), [2.5, 97.5])
    estimate = 100 * expit(whole[1])
    return {"coefficients": whole, "estimate": estimate, "low": low, "high": high}


def refit_one_by_one(features, labels, weights, _):
    return one_by_one(features, labels, weights, 1e8)


def refit_at_once(features, labels, weights, whole):
    columns = np.arange(2, dtype=np.int32)
    return at_once(features, columns, labels, weights, np.inf, start=whole)


def wins():
    """What each player won against each other, in each tournament."""
    players = 1 + max(winner.max(), loser.max())
    shape = (1 + tournament.max(), players, players)
    cell = np.ravel_multi_index((tournament, winner, loser), shape)
    return np.bincount(cell, weight, minlength=np.prod(shape)).reshape(shape)


def strengths(fit):
    fitted = fit(wins())
    return {"first": fitted[0], "mean_square": np.mean(fitted**2)}


def pairs(won):
    """Two rows a pair: the first of the two won, or the second."""
    first, second = np.triu_indices(won.shape[1], 1)
    weights = np.concatenate([won[:, first, second], won[:, second, first]], 1)
    columns = np.tile(np.stack([first, second], 1).astype(np.int32), (2, 1))
    return columns, np.repeat([1, 0], len(first)), weights


def strengths_one_by_one(won):
    columns, labels, weights = pairs(won)
    one = np.eye(won.shape[1])
    features = one[columns[:, 0]] - one[columns[:, 1]]
    return one_by_one([features] * len(weights), labels, weights, 1 / RIDGE)


def strengths_at_once(won):
    columns, labels, weights = pairs(won)
    return at_once(np.array([1.0, -1.0]), columns, labels, weights, 1 / RIDGE)


def strengths_choix(won):
    return np.array([choix.ilsr_pairwise_dense(each, RIDGE, max_iter=1000) for each in won])


packages = ("numpy", "scipy", "scikit-learn", "choix")
version = ", ".join(f"{package} {metadata.version(package)}" for package in packages)
for name, tool, work in [
    ("length_control", "scikit-learn", lambda: length_control(refit_one_by_one)),
    ("length_control", "scikit-learn, at once", lambda: length_control(refit_at_once)),
    ("tournaments", "scikit-learn", lambda: strengths(strengths_one_by_one)),
    ("tournaments", "scikit-learn, at once", lambda: strengths(strengths_at_once)),
    ("tournaments", "choix", lambda: strengths(strengths_choix)),
]:
    seconds = []
    for _ in range(rounds):
        start = perf_counter()
        answers = work()
        seconds.append(perf_counter() - start)
    answers = {key: np.asarray(value).tolist() for key, value in answers.items()}
    line = {"name": name, "tool": tool, "seconds": seconds, "answers": answers, "version": version}
    print(json.dumps(line), flush=True)
