"""Make statistics.json, reference numbers for the statistics, with scipy, statsmodels, scikit-learn and choix.

    python tests/data/make_statistics.py

It needs no network, takes some seconds, and replaces statistics.json beside this script. Every case holds its inputs,
which are seeded and rounded to a few digits, and what the libraries (or, where there is none, a formula given here)
make of them. What can be computed in a second, independent way is, and must agree before anything is written. Numbers
are written with as many digits as give back the same float64, at most 17.

The file that is checked in was made with numpy 2.4.6, scipy 1.17.1, statsmodels 0.15.0, scikit-learn 1.9.1,
choix 0.4.1 and pandas 3.1.1 on Python 3.11.
"""

import os

os.environ.update(OMP_NUM_THREADS="1")

import json
import warnings
from pathlib import Path

import choix
import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, logit
from scipy.stats._resampling import BootstrapResult, _bca_interval
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

HERE = Path(__file__).resolve().parent
LIMIT = 60_000  # bytes


def close(a, b, tolerance=1e-10):
    """Asserts that two ways to the same numbers agree."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    assert a.shape == b.shape
    error = np.max(np.abs(a - b) / np.maximum(1e-3, np.abs(b)))
    assert error < tolerance, f"differ by {error:.1e}: {a} {b}"


def plain(value):
    """Without numpy types and negative zeros."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return value + 0.0 if isinstance(value, float) else value


# ---- proportions and quantiles ----------------------------------------------------------------


def wilson():
    cases = [(0, 10), (10, 10), (7, 10), (1, 3), (50, 100), (521, 1000)]
    for wins, n in cases:
        for level in (0.9, 0.95):
            low, high = proportion_confint(wins, n, alpha=1 - level, method="wilson")
            test = stats.binomtest(wins, n).proportion_ci(level, method="wilson")
            close([low, high], [test.low, test.high])
            yield dict(wins=wins, n=n, level=level, low=low, high=high)


def normal():
    """The standard normal distribution, and Student's t."""
    probabilities = [1e-10, 0.001, 0.025, 0.05, 0.2, 0.5, 0.8, 0.9, 0.975, 0.995, 0.9999]
    points = [-8.0, -3.0, -1.96, -0.5, 0.0, 0.3, 1.0, 1.6448536269514722, 2.5, 5.0]
    degrees = [(1, 0.975), (2, 0.95), (4, 0.975), (9, 0.025), (9, 0.995), (29, 0.975), (49, 0.95), (999, 0.975)]
    return dict(
        quantiles=[dict(p=p, quantile=stats.norm.ppf(p)) for p in probabilities],
        cdf=[dict(x=x, cdf=stats.norm.cdf(x)) for x in points],
        t_quantiles=[dict(df=df, p=p, quantile=stats.t.ppf(p, df)) for df, p in degrees],
    )


# ---- clustered means --------------------------------------------------------------------------


def preferences(rng, centre, size):
    """Preferences of one cluster, around its own mean."""
    return np.round(rng.beta(8 * centre, 8 * (1 - centre), size), 3)


def clustered_ols(y, x, groups, corrected=True):
    """Coefficients and standard errors; the correction is C/(C-1) (N-1)/(N-K), of C clusters, N rows, K columns."""
    options = dict(groups=np.asarray(groups), use_correction=corrected, df_correction=False)
    fit = sm.OLS(np.asarray(y, float), np.asarray(x, float)).fit(cov_type="cluster", cov_kwds=options)
    return fit.params, fit.bse


def cluster_mean():
    """The mean over rows, and its standard error from OLS on a constant.

    With p the mean, N_c and S_c the rows of cluster c and their sum, it is by hand
    sqrt(C/(C-1) sum_c (S_c - p N_c)^2) / N, for (N-1)/(N-K) is 1 here.
    """
    rng = np.random.default_rng(1)
    designs = [[2, 5, 3], [1, 4, 2, 6, 3, 1, 2, 5], [1] * 6 + [8, 3]]
    for number, sizes in enumerate(designs):
        clusters = [preferences(rng, rng.uniform(0.25, 0.85), size) for size in sizes]
        if number == 2:  # judged as won, tied or lost
            clusters = [np.round(2 * cluster) / 2 for cluster in clusters]
        y, groups = np.concatenate(clusters), np.repeat(np.arange(len(sizes)), sizes)
        (mean,), (error,) = clustered_ols(y, np.ones((len(y), 1)), groups)
        residuals = sum((sum(c) - y.mean() * len(c)) ** 2 for c in clusters)
        close([mean, error], [y.mean(), np.sqrt(len(sizes) / (len(sizes) - 1) * residuals) / len(y)])
        yield dict(clusters=clusters, mean=mean, standard_error=error)


def regression_data(seed, rows, slopes, soft, weighted):
    """Features (the first is constant 1), labels, weights and clusters that share a shift."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(rows, len(slopes))), 2)
    x[:, 0] = 1
    cluster = np.sort(rng.integers(0, max(6, rows // 4), rows))
    cluster = np.unique(cluster, return_inverse=True)[1]
    mean = expit(x @ slopes + 0.5 * rng.normal(size=cluster.max() + 1)[cluster])
    y = np.round(rng.beta(6 * mean, 6 * (1 - mean)), 2) if soft else (rng.random(rows) < mean).astype(float)
    weight = np.round(rng.uniform(0.25, 2, rows), 2) if weighted else np.ones(rows)
    return x, y, weight, cluster


def logistic():
    """The maximum of sum_i w_i (y_i log p_i + (1 - y_i) log(1 - p_i)), p = sigma(x b), and two covariances of b:
    inverse_information A = (sum_i w_i p_i (1 - p_i) x_i x_i')^-1, and cluster_covariance C/(C-1) A (sum_c s_c s_c') A,
    s_c = sum_{i in c} w_i (y_i - p_i) x_i, with C/(C-1) as its only correction.
    """
    for seed, rows, slopes, soft, weighted in (
        (3, 40, [0.3, 0.8], False, False),
        (4, 36, [-0.2, 1.0, -0.6], True, False),
        (5, 40, [0.4, 0.7, 0.0, -1.1], True, True),
    ):
        x, y, weight, cluster = regression_data(seed, rows, slopes, soft, weighted)
        model = sm.GLM(y, x, family=sm.families.Binomial(), var_weights=weight)
        exact = dict(tol=0, tol_criterion="params", maxiter=30)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it never meets a tolerance of 0; the gradient is looked at below
            fit = model.fit(**exact)
            options = dict(groups=cluster, use_correction=False, df_correction=False)
            robust = model.fit(**exact, cov_type="cluster", cov_kwds=options)
        p = expit(x @ fit.params)
        scores = (weight * (y - p))[:, None] * x
        assert np.abs(scores.sum(0)).max() < 1e-12
        inverse = np.linalg.inv((x * (weight * p * (1 - p))[:, None]).T @ x)
        close(fit.cov_params(), inverse)
        n = cluster.max() + 1
        sums = np.array([scores[cluster == c].sum(0) for c in range(n)])
        sandwich = n / (n - 1) * inverse @ sums.T @ sums @ inverse
        close(n / (n - 1) * robust.cov_params(), sandwich)
        yield dict(
            x=x, y=y, weight=weight, cluster=cluster, coefficients=fit.params,
            inverse_information=inverse, cluster_covariance=sandwich,
        )  # fmt: skip


def logistic_l1():
    """The minimum of |b|_1 + C sum_i w_i CE_i, CE the cross-entropy as above; the constant's coefficient is penalised
    as the others are. Proximal gradient steps find the signs, Newton steps on what is not 0 polish it, and the
    optimality conditions are checked. liblinear, which has the same objective, is given every row as a win of weight
    w y and a loss of weight w (1 - y).
    """
    for seed, rows, slopes, soft, weighted, c in (
        (13, 30, [0.3, 1.2, -0.7], False, False, 0.5),
        (6, 36, [0.5, 0.9, 0.05, -1.0], True, True, 0.4),
    ):
        x, y, weight, _ = regression_data(seed, rows, slopes, soft, weighted)

        def gradient(b):
            return c * x.T @ (weight * (expit(x @ b) - y))

        step = 4 / (c * np.linalg.norm((x * weight[:, None]).T @ x, 2))
        b = np.zeros(x.shape[1])
        for _ in range(20_000):
            b = b - step * gradient(b)
            b = np.sign(b) * np.maximum(np.abs(b) - step, 0)
        signs, active = np.sign(b), b != 0
        for _ in range(5):
            p = expit(x @ b)
            information = c * (x * (weight * p * (1 - p))[:, None]).T @ x
            move = np.linalg.solve(information[np.ix_(active, active)], (gradient(b) + signs)[active])
            b[active] -= move
        slope = gradient(b)
        assert np.all(np.sign(b) == signs) and np.abs((slope + signs)[active]).max() < 1e-12
        assert np.all(np.abs(slope[~active]) < 0.95)

        doubled = np.concatenate([x, x]), np.repeat([1, 0], len(x))
        sides = np.concatenate([weight * y, weight * (1 - y)])
        peer = LogisticRegression(
            l1_ratio=1, C=c, solver="liblinear", fit_intercept=False, tol=1e-12, max_iter=100_000, random_state=0
        ).fit(*doubled, sample_weight=sides)  # fmt: skip
        close(peer.coef_[0], b, 1e-6)
        yield dict(x=x, y=y, weight=weight, C=c, coefficients=b)


# ---- bootstrap --------------------------------------------------------------------------------


def bca():
    """Percentile and BCa intervals of the mean from exactly the resamples whose indices are given.

    z0 = quantile of the share of replicates below the mean, those equal to it counting half; a = the acceleration from
    the jackknife, sum u^3 / (6 (sum u^2)^1.5) with u = (mean of the leave-one-out means) - (a leave-one-out mean);
    alpha_1 and alpha_2 = Phi(z0 + (z0 + z) / (1 - a (z0 + z))) for z the quantiles of (1 - level)/2 and 1 - that. The
    ends of an interval are quantiles of the replicates by linear interpolation: of B sorted ones, position (B - 1) q.
    The values of the second case are multiples of 1/4, so that there are replicates equal to the mean.
    """
    rng = np.random.default_rng(39)
    skewed = np.round(rng.exponential(size=25) ** 1.3, 3)
    tied = np.round(4 * rng.beta(0.5, 1.6, 25)) / 4
    for values in (skewed, tied):
        level, indices = 0.95, rng.integers(0, 25, (199, 25))
        replicates = values[indices].mean(1)
        done = BootstrapResult(None, replicates, None)
        ends = {}
        for method in ("percentile", "BCa"):
            result = stats.bootstrap(
                (values,), np.mean, n_resamples=0, bootstrap_result=done, confidence_level=level, method=method
            )
            ends[method] = list(result.confidence_interval)
        tail = (1 - level) / 2
        alpha_1, alpha_2, a = _bca_interval(
            (values,), np.mean, axis=-1, alpha=tail, theta_hat_b=replicates, batch=None, xp=np
        )

        below = np.mean(replicates < values.mean()) / 2 + np.mean(replicates <= values.mean()) / 2
        z0 = stats.norm.ppf(below)
        left_out = np.array([np.delete(values, i).mean() for i in range(25)])
        u = left_out.mean() - left_out
        close(a, np.sum(u**3) / (6 * np.sum(u**2) ** 1.5))
        z = z0 + stats.norm.ppf([tail, 1 - tail])
        close([alpha_1, alpha_2], stats.norm.cdf(z0 + z / (1 - a * z)))
        close(ends["BCa"], np.percentile(replicates, [100 * alpha_1, 100 * alpha_2]))
        close(ends["percentile"], np.percentile(replicates, [100 * tail, 100 - 100 * tail]))
        yield dict(
            values=values, indices=indices, level=level, mean=values.mean(), standard_error=replicates.std(ddof=1),
            percentile=ends["percentile"], z0=z0, a=a, alpha_1=alpha_1, alpha_2=alpha_2, bca=ends["BCa"],
        )  # fmt: skip
    assert np.any(replicates == values.mean())


# ---- agreement and tests ----------------------------------------------------------------------


def kappa():
    """Cohen's kappa of a table of counts (rows: one rater; columns: the other) and its standard error by the delta
    method (std_kappa, not the one under the hypothesis of no agreement): unweighted, and with the costs |i - j| and
    (i - j)^2.
    """
    two, three = [[20, 5], [10, 15]], [[30, 6, 1], [4, 22, 9], [0, 3, 25]]
    four = [[8, 3, 1, 0], [2, 9, 4, 1], [1, 0, 7, 5], [0, 2, 0, 12]]
    for table in (two, three, four):
        case, k, n = dict(table=table), len(table), np.sum(table)
        distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
        for wt, cost in ((None, 1 * (distance > 0)), ("linear", distance), ("quadratic", distance**2)):
            result, name = cohens_kappa(table, wt=wt), f"{wt}_kappa" if wt else "kappa"
            case |= {name: result.kappa, f"se_{name}": result.std_kappa}

            def of(shares, cost=cost):
                return 1 - np.sum(cost * shares) / np.sum(cost * np.outer(shares.sum(1), shares.sum(0)))

            shares, h = np.array(table) / n, 1e-6
            steps = [h * np.eye(k * k)[i].reshape(k, k) for i in range(k * k)]
            slopes = np.array([(of(shares + s) - of(shares - s)) / (2 * h) for s in steps])
            variance = np.sum(shares.ravel() * slopes**2) - np.sum(shares.ravel() * slopes) ** 2
            close(result.kappa, of(shares))
            close(result.std_kappa, np.sqrt(variance / n), 1e-7)
        yield case


def ranks():
    rng = np.random.default_rng(9)
    pairs = [
        ([1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5]),
        ([1, 1, 2, 3, 3, 3, 4, 5], [2, 1, 2, 2, 5, 4, 4, 3]),
        ([0, 0.5, 0.5, 1, 1, 1, 0, 0.5], [1, 0.5, 0, 0, 0, 0.5, 1, 1]),
    ]
    x = np.round(rng.normal(size=30), 1)
    pairs.append((x, np.round(x + rng.normal(size=30))))
    for x, y in pairs:
        spearman = stats.spearmanr(x, y).statistic
        close(spearman, np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])
        yield dict(x=x, y=y, spearman=spearman, kendall_tau_b=stats.kendalltau(x, y, variant="b").statistic)


def mcnemar():
    """The exact two-sided test that better and worse are equally likely; 1 where there is neither."""
    for better, worse in ((0, 0), (3, 12), (7, 7), (0, 60), (5210, 5000)):
        n = better + worse
        p = stats.binomtest(better, n, 0.5).pvalue if n else 1.0
        close(p, min(1, 2 * stats.binom.cdf(min(better, worse), n, 0.5)), 1e-9)
        yield dict(better=better, worse=worse, p=p)


def holm():
    for p in ([0.01, 0.04, 0.03, 0.005], [0.2, 0.0004, 0.9, 0.013, 0.013, 0.011, 0.6]):
        yield dict(p=p, adjusted=multipletests(p, method="holm")[1])


def minimum_detectable():
    """The effect that a two-sided test of that level finds with that power: (z_{1 - level/2} + z_power) times the
    standard error."""
    for error, level, power in ((0.021, 0.05, 0.8), (0.1, 0.05, 0.8)):
        effect = (stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)) * error
        yield dict(standard_error=error, level=level, power=power, effect=effect)


# ---- Bradley-Terry ----------------------------------------------------------------------------


def binomial_fit(x, y, weight):
    """An unpenalised logistic regression to float64's precision, and the inverse of its information."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        model = sm.GLM(y, x, family=sm.families.Binomial(), var_weights=weight)
        fit = model.fit(tol=0, tol_criterion="params", maxiter=40)
    assert np.abs(x.T @ (weight * (y - expit(x @ fit.params)))).max() < 1e-11
    return fit.params, fit.cov_params()


def bradley_terry():
    """Strengths of mean 0, P(i beats j) = sigma(b_i - b_j). penalised: the maximum of
    sum w log sigma(b_winner - b_loser) - prior/2 |b|^2. strengths: the same without the prior, null where there is no
    such maximum (a player never lost); standard_errors: of these, the square roots of the diagonal of the
    pseudo-inverse of the information sum w p (1 - p) (e_i - e_j)(e_i - e_j)'.
    """
    rng = np.random.default_rng(10)
    integers = [[0, 1, 6], [1, 0, 3], [1, 2, 5], [2, 1, 4], [0, 2, 4], [2, 0, 1]]
    true = np.array([0.8, 0.3, 0, -0.4, -0.7])
    drawn = []
    for i, j in [(0, 1), (0, 2), (0, 4), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)]:
        for _ in range(3):
            winner, loser = (i, j) if rng.random() < expit(true[i] - true[j]) else (j, i)
            drawn.append([winner, loser, float(rng.choice([0.5, 1, 1.25]))])
        drawn.append([j, i, 0.5])  # so that all can be compared
    unbeaten = [[0, 1, 3], [0, 2, 2], [1, 2, 2], [2, 1, 1], [0, 3, 1], [3, 1, 1.5], [2, 3, 1]]
    for players, games, prior in ((3, integers, 1.0), (5, drawn, 0.1), (4, unbeaten, 0.5)):
        winner, loser, weight = (np.array(column) for column in zip(*games))
        x = np.eye(players)[winner] - np.eye(players)[loser]
        flip = np.where(np.arange(len(x)) % 2, -1, 1)  # scikit-learn wants both classes
        ridge = LogisticRegression(C=1 / prior, fit_intercept=False, solver="newton-cholesky", tol=1e-13, max_iter=1000)
        penalised = ridge.fit(x * flip[:, None], flip, sample_weight=weight).coef_[0]
        assert np.abs(x.T @ (weight * expit(-x @ penalised)) - prior * penalised).max() < 1e-11
        close(penalised.mean(), 0)
        case = dict(
            players=players, games=games, prior=prior, penalised=penalised, strengths=None, standard_errors=None
        )
        if games is not unbeaten:
            part, covariance = binomial_fit(x[:, 1:], np.ones(len(x)), weight)
            strengths = np.append(0, part) - np.append(0, part).mean()
            p = expit(x @ strengths)
            inverse = np.linalg.pinv((x * (weight * p * (1 - p))[:, None]).T @ x)
            centring = (np.eye(players) - 1 / players)[:, 1:]
            close(inverse, centring @ covariance @ centring.T)
            case |= dict(strengths=strengths, standard_errors=np.sqrt(np.diag(inverse)))
        if games is integers:
            repeated = [(i, j) for i, j, w in games for _ in range(w)]
            close(choix.opt_pairwise(players, repeated, method="Newton-CG", tol=1e-12), strengths, 1e-6)
            close(
                choix.opt_pairwise(players, repeated, alpha=prior / 2, method="Newton-CG", tol=1e-12), penalised, 1e-6
            )
        yield case


def bradley_terry_order():
    """The same without a prior and with an order effect: P(first wins) = sigma(b_first - b_second + order_effect), an
    outcome of 1/2 counting as half a win and half a loss. A game is [first, second, outcome, weight]."""
    rng = np.random.default_rng(11)
    true, games = np.array([0.7, 0.2, -0.3, -0.6]), []
    for i in range(4):
        for j in range(4):
            if i != j:
                for _ in range(2):
                    draw = logit(rng.random())
                    gap = true[i] - true[j] + 0.5 - draw
                    games.append([i, j, 0.5 if abs(gap) < 0.5 else float(gap > 0), float(rng.choice([0.5, 1, 2]))])
    first, second, outcome, weight = (np.array(column) for column in zip(*games))
    x = np.column_stack([np.eye(4)[first] - np.eye(4)[second], np.ones(len(games))])
    part, covariance = binomial_fit(x[:, 1:], outcome, weight)
    strengths, effect = np.append(0, part[:-1]) - np.append(0, part[:-1]).mean(), part[-1]

    p = expit(x @ np.append(strengths, effect))
    inverse = np.linalg.pinv((x * (weight * p * (1 - p))[:, None]).T @ x)  # b_1 = ... = b_k is what it leaves out
    sides = np.concatenate([weight * outcome, weight * (1 - outcome)])
    peer = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-12)
    peer.fit(np.concatenate([x, x])[:, 1:], np.repeat([1, 0], len(x)), sample_weight=sides)
    close(peer.coef_[0], part, 1e-8)
    centring = np.zeros((5, 4))
    centring[:4, :3], centring[4, 3] = (np.eye(4) - 1 / 4)[:, 1:], 1
    close(inverse, centring @ covariance @ centring.T)
    errors = np.sqrt(np.diag(inverse))
    yield dict(
        players=4, games=games, strengths=strengths, order_effect=effect,
        standard_errors=errors[:-1], order_effect_standard_error=errors[-1],
    )  # fmt: skip


# ---- variance components ----------------------------------------------------------------------


def components():
    """Components of the variance of y[prompt][sample][order][draw] in a balanced design, from its mean squares.

    y = mu + prompt + sample within prompt + order within sample + draw (the residual), all random, of variances
    P, S, O and E; with n_p, n_s, n_o, n_d levels, m_... means over the other indices:
      SS_prompt   = n_s n_o n_d sum (m_p - m)^2   n_p - 1 degrees         E[MS] = E + n_d O + n_o n_d S + n_s n_o n_d P
      SS_sample   = n_o n_d sum (m_ps - m_p)^2    n_p (n_s - 1)           E[MS] = E + n_d O + n_o n_d S
      SS_order    = n_d sum (m_pso - m_ps)^2      n_p n_s (n_o - 1)       E[MS] = E + n_d O
      SS_residual = sum (y - m_pso)^2             n_p n_s n_o (n_d - 1)   E[MS] = E
    so E = MS_residual, O = (MS_order - MS_residual) / n_d, S = (MS_sample - MS_order) / (n_o n_d),
    P = (MS_prompt - MS_sample) / (n_s n_o n_d), of which none is negative here.
    nested: as above. order_fixed: with a fixed effect of the order besides, whose sum of squares
    n_p n_s n_d sum (m_o - m)^2, with n_o - 1 degrees, is taken out of SS_order and its degrees. The order effect is
    (mean of order 0 - mean of order 1) / 2. mean_standard_error = sqrt(MS_prompt / number of rows).
    """
    rng = np.random.default_rng(12)
    shape = n_p, n_s, n_o, n_d = 12, 3, 2, 2
    variances = dict(prompt=0.01, sample=0.005, order=0.003, residual=0.002)
    effect = 0.03
    y = 0.55 + effect * np.array([1, -1])[:, None]
    for cut, variance in zip((1, 2, 3, 4), variances.values()):
        y = y + np.sqrt(variance) * rng.normal(size=shape[:cut] + (1,) * (4 - cut))
    y = np.round(y, 3)
    assert 0 <= y.min() and y.max() <= 1

    m, m_p, m_ps, m_pso = (y.mean(axis=axes, keepdims=True) for axes in ((0, 1, 2, 3), (1, 2, 3), (2, 3), 3))
    squares = [np.sum(d**2) * y.size / d.size for d in (m_p - m, m_ps - m_p, m_pso - m_ps, y - m_pso)]
    degrees = [n_p - 1, n_p * (n_s - 1), n_p * n_s * (n_o - 1), n_p * n_s * n_o * (n_d - 1)]
    m_o = y.mean(axis=(0, 1, 3))
    order_squares = n_p * n_s * n_d * np.sum((m_o - m.item()) ** 2)

    table = pd.DataFrame(np.argwhere(np.ones(shape)), columns=["prompt", "sample", "order", "draw"])
    table["y"] = y.ravel()
    table["cell"] = table["sample"] * n_o + table["order"]
    case = dict(shape=shape, generating=variances | dict(order_effect=effect), y=y, mean=m.item())
    for name, formula, taken, used in (
        ("nested", "y ~ 1", 0, 0),
        ("order_fixed", "y ~ C(order)", order_squares, n_o - 1),
    ):
        ss, df = np.array(squares), np.array(degrees)
        ss[2], df[2] = ss[2] - taken, df[2] - used
        ms = ss / df
        prompt = (ms[0] - ms[1]) / (n_s * n_o * n_d)
        sample = (ms[1] - ms[2]) / (n_o * n_d)
        order = (ms[2] - ms[3]) / n_d
        found = dict(prompt=prompt, sample=sample, order=order, residual=ms[3])
        assert min(found.values()) > 0
        # Restricted maximum likelihood gives the same in a balanced design without negative components.
        parts = dict(sample="0 + C(sample)", order="0 + C(cell)")
        model = sm.MixedLM.from_formula(formula, table, groups="prompt", re_formula="1", vc_formula=parts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it takes these variances for nearly 0
            mixed = model.fit(reml=True, method="powell", ftol=1e-14)
        by_name = dict(zip(model.exog_vc.names, mixed.vcomp))
        likeliest = [mixed.cov_re.iloc[0, 0], by_name["sample"], by_name["order"], mixed.scale]
        close(likeliest, list(found.values()), 1e-5)
        names = list(found)
        case[name] = dict(degrees=dict(zip(names, df)), mean_squares=dict(zip(names, ms)), components=found)
    case["order_fixed"] |= dict(order_effect=(m_o[0] - m_o[1]) / 2)
    case["mean_standard_error"] = np.sqrt(squares[0] / degrees[0] / y.size)
    return case


def main():
    about = (
        "Reference numbers for the statistics, made by make_statistics.py beside this file; what is computed, by which "
        "formula, and what the names mean stands there with the function named as the section is."
    )
    makers = [
        wilson, normal, cluster_mean, logistic, logistic_l1, bca, kappa, ranks, mcnemar, holm,
        minimum_detectable, bradley_terry, bradley_terry_order, components,
    ]  # fmt: skip
    parts = [f'"about": {json.dumps(about)}']
    for maker in makers:
        made = maker()
        made = plain(made if isinstance(made, dict) else list(made))
        if isinstance(made, list):  # a case a line
            lines = [json.dumps(case, separators=(",", ":"), allow_nan=False) for case in made]
            parts.append(f'"{maker.__name__}": [\n' + ",\n".join(f"    {line}" for line in lines) + "\n  ]")
        else:  # a field a line
            lines = [f"{json.dumps(key)}: {json.dumps(item, separators=(',', ':'))}" for key, item in made.items()]
            parts.append(f'"{maker.__name__}": {{\n' + ",\n".join(f"    {line}" for line in lines) + "\n  }")
        print(f"{maker.__name__}: {len(made)}")
    text = "{\n  " + ",\n  ".join(parts) + "\n}\n"
    assert len(text) < LIMIT and json.loads(text)
    (HERE / "statistics.json").write_text(text)
    print(f"statistics.json: {len(text)} bytes")


if __name__ == "__main__":
    main()
