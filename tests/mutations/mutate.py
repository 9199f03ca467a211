"""Put errors into a copy of the program, one at a time, and see that the tests catch each (see mutations.toml).

python tests/mutations/mutate.py OUT.csv
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from agn_bench.base import files, machine

ROOT = Path(__file__).parent.parent.parent
LIST = Path(__file__).with_name("mutations.toml")


def passes(copy: Path, tests: list[str]) -> tuple[bool, str]:
    """Whether the copy passes its tests, and the first that it does not; a crash of the interpreter is no pass."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", *(f"tests/{name}" for name in tests)]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True)
    failed = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if ran.returncode < 0:
        return False, "::a crash"
    if ran.returncode not in (0, 1):
        raise SystemExit(f"the tests did not run:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return ran.returncode == 0, failed[0] if failed else ""


def main(out: Path) -> int:
    mutations = tomllib.loads(LIST.read_text(encoding="utf-8"))["mutations"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for name in ("agn_bench", "docs", "experiments", "results", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "runs"))
        for name in ("README.md", "pyproject.toml"):
            shutil.copy(ROOT / name, copy)
        sound, test = passes(copy, sorted({name for mutation in mutations for name in mutation["tests"]}))
        if not sound:
            raise SystemExit(f"the program fails {test} as it is")
        for mutation in mutations:
            path = copy / "agn_bench" / mutation["file"]
            right = path.read_text(encoding="utf-8")
            if right.count(mutation["before"]) != 1:
                raise SystemExit(f"{mutation['file']} does not have once: {mutation['before']}")
            path.write_text(right.replace(mutation["before"], mutation["after"]), encoding="utf-8")
            missed, test = passes(copy, mutation["tests"])
            path.write_text(right, encoding="utf-8")
            rows.append({
                "mutation": mutation["what"], "file": mutation["file"], "caught": not missed,
                "by": test.split("::", 1)[-1],
            })  # fmt: skip
            print(f"{'MISSED' if missed else 'caught'}: {mutation['what']} ({test or 'by none'})", flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"command": "make robustness", "made": made, "machine": machine.describe()}
    files.record_provenance(out.parent, {out.stem: facts})
    return sum(not row["caught"] for row in rows)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) > 0)
