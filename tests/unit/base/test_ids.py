import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import RFC_4122, UUID

import msgspec
import pytest

from penstock.base.ids import uuid7, uuid_of

SOURCE = Path(__file__).parents[3] / "src"
LOW_BITS = (1 << 62) - 1


def test_identifiers_rise_and_are_of_version_7() -> None:
    made = [uuid7() for _ in range(2_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {(one.version, one.variant) for one in made} == {(7, RFC_4122)}


def test_an_identifier_is_as_good_as_one_of_the_constructor() -> None:
    made = uuid7()
    twin = UUID(str(made))
    assert (made, hash(made), made.is_safe) == (twin, hash(twin), twin.is_safe)
    assert pickle.loads(pickle.dumps(made)) == made


def test_threads_never_share_one() -> None:
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda _: [uuid7() for _ in range(500)], range(8)))
    made = [one for part in parts for one in part]
    assert len(set(made)) == len(made)


FORKING = """
import os, sys
sys.path.insert(0, sys.argv[1])
from penstock.base.ids import uuid7
uuid7()  # bytes are left over that the child must not use too
child = os.fork()
os.write(1, f"{uuid7()}\\n".encode())
if child:
    os.waitpid(child, 0)
"""


def test_a_forked_child_draws_for_itself() -> None:
    # In a process of its own: this one may have threads, which a fork does not take along.
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(SOURCE)], check=True, capture_output=True, text=True
    )
    one, other = (UUID(line).int & LOW_BITS for line in done.stdout.split())
    assert one != other


def test_text_that_spells_an_identifier() -> None:
    made = uuid7()
    assert uuid_of(str(made)) == made
    with pytest.raises(msgspec.ValidationError, match="UUID"):
        uuid_of("flow-1")
