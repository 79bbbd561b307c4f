"""Drill: two people share MLflow, PostgreSQL and an S3 store, which are then destroyed and restored.

    python tests/drills shared_services [--write]

The services of compose.yaml, without containers, start empty. Anna and Ben work in a clone each, on machines
of their own as far as locks can tell, and do the same things at once. All is backed up, destroyed and
restored into new services. Prints what was checked, and how many checks survived and lost; --write puts the
table into docs/shared-services.md.
"""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from conftest import ROOT
from PIL import Image
from support import caddy, shared_services, tls_proxy
from support.pipeline_project import Project, draw, write_category
from support.shared_services import Services
from support.tls_proxy import Authority

from mlproject.registry import aliases
from mlproject.tracking import lock

PAGE = ROOT / "docs/shared-services.md"
TABLE = re.compile(r"(?<=<!-- drill: begin -->\n).*?(?=<!-- drill: end -->)", re.DOTALL)
CATEGORY, NAME = "disc", "photos-disc"
MODELS = ("patch_kde", "pca")
MLFLOW, S3 = caddy.SITES
TRIALS = 8
ROUNDS = 10  # of each of two processes that promote and promote
PROMOTE = """
import sys
from mlproject.registry import aliases
from mlproject.tracking import connection
client, (name, versions, rounds) = connection.open_registry(), sys.argv[1:]
won = 0
while won < int(rounds):
    now = aliases.read(client, name).get("champion")
    other = next(version for version in versions.split(",") if version != now)
    try:
        aliases.promote(client, name, other, now)
        won += 1
    except aliases.LostRace:
        print("lost", flush=True)
"""


class Person(Project):
    """A clone, and what somebody has set in the shell there."""

    extra: Mapping[str, str] = MappingProxyType({})

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | dict(self.extra)

    @classmethod
    def cloned(cls, origin: Path, folder: Path) -> "Person":
        """Return a clone of a clone."""
        person = cls.__new__(cls)
        person.folder = folder
        subprocess.run(["git", "clone", "-q", origin, folder], check=True)
        return person

    def set_up(self, services: Services, who: str) -> None:
        """Set what docs/shared-services.md says, and a TMPDIR, which keeps the locks of the kernel apart."""
        temporary = self.folder.parent / f"tmp-{who}"
        temporary.mkdir(exist_ok=True)
        self.extra = services.person(who) | {"TMPDIR": str(temporary)}

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def small(tree) -> None:
    tree["categories"], tree["detectors"] = [CATEGORY], list(MODELS)
    tree["generators_used"] = tree["studies_used"] = []
    tree["promote"] |= {"latency_ms": 1e9, "memory_mb": 1e9}


def commit(person: Person) -> None:
    person.call("git", "add", "-A")
    person.call("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "work")


def at_once(*jobs: tuple[Person, tuple[str, ...]]) -> list[tuple[int, str]]:
    """Run commands at the same time; return exit code and output of each."""
    processes = [person.start(*command) for person, command in jobs]
    said = [process.communicate()[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def wrong(expected: object, found: object, said: object = "") -> str:
    """Return what is wrong, nothing if nothing is."""
    return "" if expected == found else f"expected {expected}, found {found} {said}"


def versions(services: Services) -> int:
    return services.rows(f"select count(*) from model_versions where name = '{NAME}'")[0][0]


def pipeline(services: Services, folder: Path) -> Iterator[tuple[str, str]]:
    """Run the pipeline in a clone, and bring its results into another."""
    anna = Person(folder / "anna")
    shutil.rmtree(anna.folder / "photos")
    write_category(anna.folder / "photos" / CATEGORY, seed=0, n_train=120, n_good=25, n_defective=25)
    anna.edit(small)
    commit(anna)
    anna.extra = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    said = anna.call("dvc", "repro")
    yield (
        "pipeline while the server is away | it ends well and says that nothing is lost",
        wrong(True, "nothing is lost" in said, said[-500:]),
    )
    anna.set_up(services, "anna")
    anna.call("dvc", "remote", "add", "-d", "store", "s3://dvc/project")
    anna.call("dvc", "remote", "modify", "store", "endpointurl", services.s3)
    commit(anna)
    anna.call("dvc", "push")
    ben = Person.cloned(anna.folder, folder / "ben")
    ben.set_up(services, "ben")
    ben.call("dvc", "pull", "--allow-missing")
    for place in ("artifacts", "reports/categories", "data/prepared"):
        same = _content(anna.folder / place) == _content(ben.folder / place)
        yield f"`dvc push`, `dvc pull` | {place} are the same bytes in both clones", wrong(True, same)


def _content(folder: Path) -> dict[str, bytes]:
    left_out = ("tmp", ".gitignore", "run.json", "lock")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in left_out
    }


def two_at_once(services: Services, anna: Person, ben: Person) -> Iterator[tuple[str, str]]:
    """Let both do the same things at the same time."""
    done = at_once((anna, ("mlproject", "register")), (ben, ("mlproject", "register")))
    yield "register the same models at once | both end well", wrong([0, 0], [code for code, _ in done], done)
    yield (
        "register the same models at once | one version of each model",
        wrong(len(MODELS), versions(services)),
    )
    keys = services.rows("select count(*), count(distinct value) from tags where key = 'mlproject.run_key'")
    yield "register the same models at once | one run of each training", wrong([(len(MODELS),) * 2], keys)
    had = services.counts()
    at_once((anna, ("mlproject", "register")), (ben, ("mlproject", "register")))
    yield "register again | nothing is added", wrong(had, services.counts())

    jobs = [(person, ("mlproject", "promote", NAME, "--version", number))
            for person, number in ((anna, "1"), (ben, "2"))]  # fmt: skip
    done = at_once(*jobs)
    codes = [code for code, _ in done]
    yield (
        "promote two versions at once | one wins, the other ends with exit code 1",
        wrong([0, 1], sorted(codes), done),
    )
    loser = next((text for code, text in done if code), "")
    winner = ("anna", "ben")[codes.index(0)] if 0 in codes else "?"
    yield (
        "promote two versions at once | the loser is told who won",
        wrong(True, f"{winner}@" in loser, loser),
    )

    stress = ("python", "-c", PROMOTE, NAME, "1,2", str(ROUNDS))
    done = at_once((anna, stress), (ben, stress))
    history = services.rows(f"select value from registered_model_tags where key = '{aliases.HISTORY}'")
    lost = sum(text.count("lost") for _, text in done)
    yield (
        f"{2 * ROUNDS} promotions by two processes ({lost} told that they lost) | each is in the history",
        wrong(1 + 2 * ROUNDS, len(history[0][0].split()), done),
    )

    for title, lots, expected in (("the same photos", (7, 7), 1), ("other photos", (8, 9), 2)):
        before = versions(services)
        jobs = []
        for person, lot in zip((anna, ben), lots, strict=True):
            jobs.append(
                (
                    person,
                    ("mlproject", "extend", f"{NAME}/{_patch_kde(services)}", "--add", _lot(person, lot)),
                )
            )
        done = at_once(*jobs)
        yield (
            f"extend a version at once by {title} | {expected} new",
            wrong(expected, versions(services) - before, done),
        )

    tune = ("mlproject", "tune", "--category", CATEGORY, "--model", "pca", "--trials", str(TRIALS))
    done = at_once((anna, tune), (ben, tune))
    trials = services.rows("select number from trials order by number", "optuna")
    yield (
        f"tune at once, {TRIALS} trials | none twice, none too many",
        wrong(list(range(TRIALS)), [n for (n,) in trials], done),
    )
    again = anna.call(*tune, check=False)
    runs = services.rows("select value from tags where key = 'mlproject.trial'")
    yield (
        "tune at once | each trial is one run in MLflow",
        wrong(sorted(map(str, range(TRIALS))), sorted(value for (value,) in runs), again[-500:]),
    )
    whole = services.rows("select count(*) from tags where key = 'mlproject.study_run'")
    yield "tune at once | the search is one run in MLflow", wrong([(1,)], whole)
    flags = [services.rows(f"select key from {table} where key like '{lock.PREFIX}%'")
             for table in ("experiment_tags", "registered_model_tags")]  # fmt: skip
    yield "afterwards | no lock is left", wrong([[], []], flags)


def _patch_kde(services: Services) -> int:
    """Return the first version of the model that can be extended."""
    found = services.rows("select min(version) from model_version_tags where value = 'patch_kde'")
    return found[0][0]


def _lot(person: Person, seed: int) -> str:
    folder = person.folder / f"lots/{seed}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(3):
        Image.fromarray(draw(rng, defective=False)[0]).save(folder / f"{number}.png")
    return str(folder)


def predict(services: Services, folder: Path, photos: Path, **changes: str) -> pd.DataFrame:
    """Return what the champion says to somebody who may only read, in an empty folder."""
    folder.mkdir()
    person = Person.__new__(Person)
    person.folder = folder
    person.set_up(services, "line")
    person.extra = dict(person.extra) | {"PYTHONPATH": str(ROOT)} | changes
    person.call("mlproject", "predict", f"{NAME}@champion", str(photos), "--out", "results.csv")
    return pd.read_csv(folder / "results.csv", float_precision="round_trip")


@contextmanager
def behind_tls(services: Services, folder: Path) -> Iterator[tuple[str, str, str, Path]]:
    """Yield what speaks TLS, MLflow's and S3's URLs behind it, and the certificate of its authority.

    That is Caddy with the configuration of compose.yaml, where it is installed.
    """
    if caddy.COMMAND:
        (folder / "caddy").mkdir()
        with caddy.running(folder / "caddy", {MLFLOW: services.mlflow, S3: services.s3}) as (urls, authority):
            yield "Caddy", urls[MLFLOW], urls[S3], authority
        return
    made = Authority.made(folder)
    with tls_proxy.running(made, services.mlflow) as mlflow, tls_proxy.running(made, services.s3) as s3:
        yield "TLS", mlflow, s3, made.certificate


def over_tls(
    services: Services, anna: Person, folder: Path, photos: Path, before: pd.DataFrame
) -> Iterator[tuple[str, str]]:
    """Do the same through TLS, with certificates of an authority that nobody trusts by itself."""
    usual = anna.extra
    with behind_tls(services, folder) as (by, mlflow, s3, authority):
        own = {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(authority)}
        anna.call("mlproject", "register")  # the tuning is news of her models
        had = services.counts()
        anna.extra = dict(usual) | own | {"MLFLOW_TRACKING_URI": mlflow}
        said = anna.call("mlproject", "register", check=False)
        known = said.count("(known)")
        yield f"MLflow behind {by} | register finds every version", wrong(len(MODELS), known, said[-500:])
        found = predict(services, folder / "tls", photos, MLFLOW_TRACKING_URI=mlflow, **own)
        yield f"MLflow behind {by} | predict gives the same scores", wrong(True, found.equals(before))
        anna.extra = dict(usual) | {"MLFLOW_TRACKING_URI": mlflow}
        said = anna.call("mlproject", "register", check=False)
        told = f"error: MLflow at {mlflow} has a certificate that is not trusted here"
        yield (
            f"MLflow behind {by} | an unknown authority is one line that says what to set",
            wrong((1, False), (said.count(told), "Traceback" in said), said[-500:]),
        )
        anna.extra = dict(usual) | {"AWS_CA_BUNDLE": str(authority)}
        anna.call("dvc", "remote", "modify", "--local", "store", "endpointurl", s3)
        said = anna.call("dvc", "status", "--cloud")
        yield (
            f"S3 behind {by} | `dvc status --cloud` finds all that was pushed",
            wrong(True, "in sync" in said, said[-500:]),
        )
        anna.call("dvc", "remote", "modify", "--local", "--unset", "store", "endpointurl")
        anna.extra = usual
        yield f"behind {by} | nothing is added", wrong(had, services.counts())


def tries(arguments: list[str]) -> Iterator[tuple[str, str]]:
    """Run the drill."""
    began, rows = time.time(), []
    with tempfile.TemporaryDirectory() as name:
        for title, lost in _all(Path(name)):
            rows.append((title, lost))
            yield title, lost
    if "--write" in arguments:
        _write(rows, time.time() - began)


def _all(folder: Path) -> Iterator[tuple[str, str]]:
    for name in ("first", "second", "backup"):
        (folder / name).mkdir()
    photos = folder / "anna/photos" / CATEGORY / "test"
    with shared_services.running(folder / "first") as services:
        yield from pipeline(services, folder)
        anna, ben = (Person.__new__(Person) for _ in range(2))
        for person, who in ((anna, "anna"), (ben, "ben")):
            person.folder = folder / who
            person.set_up(services, who)
        yield from two_at_once(services, anna, ben)
        before = predict(services, folder / "before", photos)
        yield (
            "predict by an account that may only read, in an empty folder | every photo has a score",
            wrong(50, int(before["score"].notna().sum())),
        )
        yield from over_tls(services, anna, folder, photos, before)
        had = services.counts()
        shared_services.back_up(services, folder / "backup")
    with shared_services.running(folder / "second", folder / "backup") as services:
        yield (
            "restored into new services | as many runs, metrics, versions, aliases, users, trials, files",
            wrong(had, services.counts()),
        )
        after = predict(services, folder / "after", photos)
        yield (
            "restored into new services | predict gives the same scores, to the bit",
            wrong(True, after.equals(before)),
        )
        carla = Person.cloned(folder / "anna", folder / "carla")
        carla.set_up(services, "ben")
        carla.call("dvc", "remote", "modify", "--local", "store", "endpointurl", services.s3)
        carla.call("dvc", "pull", "--allow-missing")
        same = _content(carla.folder / "artifacts" / CATEGORY / "pca/model")
        yield (
            "restored into new services | `dvc pull` in a third clone brings the same model",
            wrong(_content(folder / "anna/artifacts" / CATEGORY / "pca/model"), same),
        )


def _write(rows: list[tuple[str, str]], seconds: float) -> None:
    """Put the table into the page."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    lost = sum(bool(wrong) for _, wrong in rows)
    lines = ["| step | checked | lost |", "| --- | --- | --- |"]
    lines += [f"| {title} | {'1: ' + wrong if wrong else '0'} |" for title, wrong in rows]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    when = f"{day}, commit {commit}, {seconds / 60:.0f} minutes on 2 busy cores"
    lines += ["", f"Tried {len(rows)}, survived {len(rows) - lost}, lost {lost}. {when}."]
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: "\n".join(lines) + "\n", text), encoding="utf-8")
