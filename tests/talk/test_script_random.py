"""Random calls of the whole binding, by seed (RANDOM_SEED=n for one alone). The script says what it calls."""

import os

import pytest
from medusa import ROOT, until
from script import Script

SEEDS = [int(os.environ["RANDOM_SEED"])] if "RANDOM_SEED" in os.environ else range(1, 9)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_calls(tmp_path, seed):
    text = (ROOT / "tests" / "scripts" / "random_calls.lua").read_text()
    environment = dict(os.environ, RANDOM_SEED=str(seed))
    with Script(tmp_path, text, env=environment, cwd=tmp_path) as script:
        n = len(script.addresses) - 1  # the last two are the script's own
        for _ in range(10):
            script.get("/burst", n=n)
            script.get("/object", n=n)
            wire = script.connect(n + 1)
            wire.send("x\n")
            wire.close()
        assert script.get("/alive", n=n).body == b"alive"
        # One of the calls may have been medusa.unit.reload: then its load is waited for.
        until(lambda: "load.done" in script.reload(), "the reload")
        assert script.get("/alive", n=n).body == b"alive"
