"""`penstock deploy` and `penstock init`: from a project file to deployments on a real server."""

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click.testing
import pytest
from tests.cli_process import Cli
from tests.git_server import commit, git
from tests.server_process import ServerProcess

from penstock.blocks.system import Secret
from penstock.cli.main import cli
from penstock.client import get_client
from penstock.settings import temporary_settings
from penstock.variables import Variable

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "schedules"
TUTORIAL = ROOT / "docs" / "tutorial" / "scheduled-project.md"
FLOW = '''
from penstock import flow

@flow(name="Nightly load", description="Loads.")
def load(source: str = "a", most: int = 3):
    """Load."""
'''
ENTRY = """\
deployments:
  - name: one
    entrypoint: flows.py:load
    work_pool: {name: tests}
"""

Run = Callable[..., click.testing.Result]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as server:
        with temporary_settings({"PENSTOCK_API_URL": server.api}):
            get_client(sync_client=True).request(
                "POST", "/work_pools/", json={"name": "tests", "type": "process"}
            )
        yield server


@pytest.fixture
def run(server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command in an empty project with one flow; `answers` are what is typed."""
    (tmp_path / "flows.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))

    def run(*arguments: str, answers: str | None = None) -> click.testing.Result:
        prompt = "--no-prompt" if answers is None else "--prompt"
        return click.testing.CliRunner().invoke(cli, [prompt, *arguments], input=answers)

    with temporary_settings({"PENSTOCK_API_URL": server.api}):
        yield run


def deployment(name: str, flow: str = "Nightly load") -> Any:
    return get_client(sync_client=True).call("read_deployment_by_name", flow, name)


def write(text: str, name: str = "penstock.yaml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


# --- the example ---------------------------------------------------------------------------------


class Transcript:
    """Runs commands of the example and keeps what they print, without what differs every time."""

    def __init__(self, penstock: Cli, run: Run) -> None:
        self.penstock = penstock
        self.run = run
        self.lines: list[str] = []

    def __call__(self, command: str) -> None:
        done = self.run(*shlex.split(command)[1:])
        assert done.exit_code == 0, done.output
        self.keep(command, done.output.splitlines())

    def process(self, command: str) -> None:
        done = self.penstock(*shlex.split(command)[1:])
        assert done.status == 0, done.out + done.err
        self.keep(command, (done.out + done.err).splitlines())

    def keep(self, command: str, printed: list[str]) -> None:
        self.lines += [f"$ {command}", *(settled(line) for line in printed)]

    def worker(self, command: str) -> None:
        """Runs a worker until it has finished one scheduled run; the lines of that run."""
        process = self.penstock.start(*shlex.split(command)[1:])
        printed: list[str] = []
        try:
            assert process.stderr is not None
            for line in process.stderr:
                printed.append(line.rstrip())
                name = run_named(printed, "3 arrivals from warehouse")
                if name and any(f"'{name}' - Finished" in one for one in printed):
                    break
            else:
                raise AssertionError("the worker ended by itself:\n" + "\n".join(printed))
        finally:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        own = [line for line in printed if f"'{name}' - " in line]
        last = [line for line in err.splitlines() if line.startswith(("Stopping", "Worker"))]
        first, *rest = out.splitlines()
        self.keep(command, [first, *own, "^C", *last, *rest])


def run_named(printed: list[str], said: str) -> str | None:
    found = (re.search(rf"Flow run '([^']+)' - {said}", line) for line in printed)
    return next((one[1] for one in found if one), None)


def settled(line: str) -> str:
    """The line with ids, names and times that every run has its own of left out."""
    line = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", line)
    line = re.sub(r"\d\d:\d\d:\d\d\.\d{3}", "<time>", line)
    line = re.sub(r"(?<=[Ff]low run ')[a-z]+-[a-z]+(?=')", "<run>", line)
    line = re.sub(r"(?<=  )(now|\d+ (second|minute)s? ago)$", "<when>", line)
    line = re.sub(r"(?<=  count-arrivals  )[a-z]+-[a-z]+", "<run>", line)
    return re.sub(r" {2,}(?=\S)", "  ", line).rstrip()


def test_the_example_project_runs_as_the_tutorial_shows(
    server: ServerProcess, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "schedules"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(project)
    penstock = Cli(tmp_path / "home", project, PENSTOCK_API_URL=server.api)
    transcript = Transcript(penstock, run)
    transcript("penstock work-pool create local --type process")
    transcript("penstock deploy --check")
    transcript.process("penstock deploy --all")
    transcript.worker("penstock worker start --pool local --name first")
    transcript("penstock flow-run ls --flow-name count-arrivals --state Completed --limit 1")

    often = deployment("every-two-seconds", "count-arrivals")
    hourly = deployment("hourly", "count-arrivals")
    workdays = deployment("workdays", "report")
    assert often.parameters == {"source": "warehouse"}
    assert often.work_pool_name == "local"
    assert often.tags == ["example", "arrivals"]
    assert often.pull_steps == [
        {"prefect.deployments.steps.set_working_directory": {"directory": str(project)}}
    ]
    assert [one.schedule.interval for one in often.schedules] == [2]
    assert hourly.description.startswith("Say how much arrived.")
    assert [(one.schedule.cron, one.slug) for one in hourly.schedules] == [
        ("0 * * * *", "on-the-hour")
    ]
    assert workdays.global_concurrency_limit.limit == 1
    assert sorted(one.active for one in workdays.schedules) == [False, True]
    properties = often.parameter_openapi_schema["properties"]
    assert properties["source"]["description"] == "Where it comes from."

    # Deploying again changes nothing: schedules keep their ids and their planned runs.
    assert run("deploy", "--all").output.count("Updated") == 3
    assert deployment("workdays", "report").schedules == workdays.schedules

    shown = TUTORIAL.read_text().partition("```text\n")[2].partition("```")[0]
    written = "\n".join(transcript.lines) + "\n"
    if os.environ.get("PENSTOCK_TEST_WRITE"):
        TUTORIAL.write_text(
            TUTORIAL.read_text().replace(f"```text\n{shown}", f"```text\n{written}")
        )
    else:
        assert written == shown, "run this test with PENSTOCK_TEST_WRITE=1 and look at the tutorial"


# --- deploying -----------------------------------------------------------------------------------


def test_the_file_is_all_there_is_to_say_about_a_deployment(run: Run) -> None:
    write(
        ENTRY + "    tags: [a, b]\n    parameters: {source: x}\n    description: Mine.\n"
        "    concurrency_limit: 2\n    paused: true\n"
        "    schedules:\n      - {cron: '0 1 * * *', slug: a}\n      - {interval: 60, slug: b}\n"
    )
    assert run("deploy", "--all").exit_code == 0
    made = deployment("one")
    assert (made.tags, made.parameters, made.description) == (["a", "b"], {"source": "x"}, "Mine.")
    assert made.paused
    assert len(made.schedules) == 2

    write(ENTRY + "    schedules:\n      - {cron: '0 1 * * *', slug: a}\n")
    assert run("deploy", "--all").exit_code == 0
    made = deployment("one")
    assert (made.tags, made.parameters, made.description) == ([], {}, "Loads.")
    assert made.global_concurrency_limit is None
    assert made.paused, "only saying so resumes it"
    assert [one.slug for one in made.schedules] == ["a"]

    write(ENTRY)
    assert run("deploy", "--all").exit_code == 0
    assert len(deployment("one").schedules) == 1, "a file that is silent leaves them"
    write(ENTRY + "    schedules: []\n")
    assert run("deploy", "--all").exit_code == 0
    assert deployment("one").schedules == [], "an empty list removes them"


def test_prefect_yaml_is_read_where_there_is_no_penstock_yaml(run: Run) -> None:
    write(ENTRY.replace("one", "old"), "prefect.yaml")
    assert run("deploy", "--all").exit_code == 0
    assert deployment("old").name == "old"
    write(ENTRY.replace("one", "given"), "other.yaml")
    assert run("deploy", "--all", "--prefect-file", "other.yaml").exit_code == 0
    assert deployment("given").name == "given"


def test_names_patterns_and_the_flow_in_front(run: Run) -> None:
    entry = ENTRY.removeprefix("deployments:\n")
    write("deployments:\n" + "".join(entry.replace("one", n) for n in ("n-a", "n-b", "m-a")))
    assert run("deploy", "-n", "Nightly load/n-*").exit_code == 0
    assert {deployment(name).name for name in ("n-a", "n-b")} == {"n-a", "n-b"}
    unknown = run("deploy", "-n", "load/m-a")
    assert unknown.exit_code == 1, "the function's name is not the flow's"
    assert "the file declares: n-a, n-b, m-a" in unknown.output
    several = run("deploy")
    assert several.exit_code == 1
    assert "give --name or --all" in several.output
    assert run("deploy", "--all", "-n", "n-a").exit_code == 2


def test_a_single_deployment_is_not_deployed_under_another_name(run: Run) -> None:
    write(ENTRY)
    assert run("deploy", "-n", "two").exit_code == 1


def test_options_make_a_deployment_without_a_file(run: Run) -> None:
    done = run(
        "deploy", "flows.py:load", "-n", "adhoc", "-p", "tests", "--cron", "0 1 * * *",
        "--timezone", "Europe/Berlin", "--param", "most=5", "--param", "source=5a", "-t", "x",
        "--job-variable", "env={\"A\": \"b\"}", "--concurrency-limit", "2",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    made = deployment("adhoc")
    assert made.parameters == {"most": 5, "source": "5a"}
    assert made.job_variables == {"env": {"A": "b"}}
    assert made.schedules[0].schedule.timezone == "Europe/Berlin"
    assert made.tags == ["x"]


def test_placeholders_are_filled_in_and_secrets_stay_where_they_are(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Variable.set("deploy_source", "from-variable", overwrite=True)
    Secret(value="hunter22-secret").save("deploy-token", overwrite=True)
    monkeypatch.setenv("DEPLOY_TAG", "from-env")
    write(
        "build:\n"
        "  - penstock.deployments.steps.run_shell_script:\n      id: it\n      script: echo built\n"
        "      stream_output: false\n"
        "pull:\n  - prefect.deployments.steps.git_clone:\n      repository: https://h/x.git\n"
        "      branch: '{{ it.stdout }}'\n"
        "      access_token: '{{ prefect.blocks.secret.deploy-token }}'\n"
        + ENTRY
        + "    parameters: {source: '{{ prefect.variables.deploy_source }}'}\n"
        "    tags: ['{{ $DEPLOY_TAG }}', '{{ it.stdout }}']\n    version: 'v-{{ it.stdout }}'\n"
    )
    done = run("deploy", "-n", "one")
    assert done.exit_code == 0, done.output
    made = deployment("one")
    assert made.parameters == {"source": "from-variable"}
    assert (made.tags, made.version) == (["from-env", "built"], "v-built")
    assert made.pull_steps[0]["prefect.deployments.steps.git_clone"] == {
        "repository": "https://h/x.git",
        "branch": "built",
        "access_token": "{{ prefect.blocks.secret.deploy-token }}",
    }
    assert "hunter22-secret" not in str(made)
    assert "hunter22-secret" not in done.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY.replace("{name: tests}", "{name: nowhere}"), "there is no work pool 'nowhere'"),
        (ENTRY.replace("flows.py", "gone.py"), "there is no file gone.py"),
        (ENTRY.replace(":load", ":lod"), "has no flow named 'lod'"),
        (ENTRY + "    parameters: {nope: 1}\n", "takes no parameter nope; it takes source, most"),
        (ENTRY + "    description: '{{ prefect.blocks.secret.gone }}'\n", "secret/gone"),
        (ENTRY + "    schedules: [{cron: x}]\n", "cron expression 'x'"),
        (ENTRY + "build: [{a.b.c: {}}]\n", "step 1, a.b.c, failed"),
        (ENTRY + "    paused: perhaps\n", "penstock.yaml:5:5: error: `deployments[0].paused`"),
        (ENTRY + "    paused: '{{ prefect.variables.not_there }}'\n", "penstock.yaml:5:5: error"),
        ("deployments: [\n", "penstock.yaml:2:1"),
        ("deployments: []\n", "declares no deployments"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_made(text: str, said: str, run: Run) -> None:
    write(text.replace("name: one", "name: wrong"))
    done = run("deploy", "--all")
    assert done.exit_code == 1
    assert said in done.output + str(done.exception)
    names = [one.name for one in get_client(sync_client=True).call("read_deployments")]
    assert "wrong" not in names


def test_one_that_fails_does_not_keep_the_others(run: Run) -> None:
    entry = ENTRY.removeprefix("deployments:\n")
    write("deployments:\n" + entry.replace("flows.py", "no.py") + entry.replace("one", "other"))
    done = run("deploy", "--all")
    assert done.exit_code == 1
    assert "penstock.yaml:2:5: one was not deployed" in done.output
    assert deployment("other").name == "other"


def test_the_version_is_the_commit_of_the_code(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in ("GITHUB_SHA", "CI_COMMIT_SHA", "BITBUCKET_COMMIT", "BUILD_SOURCEVERSION"):
        monkeypatch.delenv(service, raising=False)
    write(ENTRY)
    assert run("deploy", "--all").exit_code == 0
    digest = hashlib.md5((tmp_path / "flows.py").read_bytes()).hexdigest()
    assert deployment("one").version == digest, "the flow's own"
    git(tmp_path, "init", "-q", ".")
    sha = commit(tmp_path, more="x")
    assert run("deploy", "--all").exit_code == 0
    assert deployment("one").version == sha[:8]
    assert run("deploy", "-n", "one", "--version", "mine").exit_code == 0
    assert deployment("one").version == "mine"
    wrong = run("deploy", "-n", "one", "--version-type", "vcs:github")
    assert wrong.exit_code == 1
    assert "no version of type 'vcs:github' here" in wrong.output


def test_code_that_ends_the_program_is_told(run: Run) -> None:
    Path("flows.py").write_text(FLOW + "\nraise SystemExit(0)\n")
    write(ENTRY)
    done = run("deploy", "--all")
    assert done.exit_code == 1
    assert "ended the program (with 0) while it was imported" in done.output


def test_steps_that_change_the_directory_change_it_for_themselves(run: Run, tmp_path: Path) -> None:
    entry = ENTRY.removeprefix("deployments:\n")
    (tmp_path / "elsewhere").mkdir()
    write(
        "build: [{penstock.deployments.steps.set_working_directory: {directory: elsewhere}}]\n"
        "deployments:\n" + entry + entry.replace("one", "other")
    )
    assert run("deploy", "--all").exit_code == 0
    for name in ("one", "other"):
        [step] = deployment(name).pull_steps
        assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(tmp_path)


def test_triggers_become_automations_of_the_deployment(run: Run) -> None:
    write(ENTRY + "    triggers:\n      - expect: [etl.done]\n        parameters: {source: z}\n")
    for _ in range(2):
        assert run("deploy", "-n", "one").exit_code == 0
    owned = get_client(sync_client=True).call(
        "read_automations_related_to_resource", f"prefect.deployment.{deployment('one').id}"
    )
    assert [one.name for one in owned] == ["one__automation_1"]
    assert owned[0].actions[0].parameters == {"source": "z"}


# --- checking ------------------------------------------------------------------------------------


def test_a_check_asks_the_server_and_runs_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text(FLOW + "\nraise SystemExit('executed')\n")
    write(ENTRY + "    tags: ['{{ prefect.blocks.secret.gone }}']\n    work_queue: x\n")
    done = run("deploy", "--check", "-o", "json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert [(one["line"], one["key"], one["level"]) for one in found["problems"]] == [
        (5, "deployments[0].tags[0]", "error"),
        (6, "deployments[0].work_queue", "error"),
    ]
    write(ENTRY)
    right = run("deploy", "--check")
    assert right.exit_code == 0
    assert "nothing is wrong" in right.output
    write("deployments: [\n")
    broken = run("deploy", "--check", "-o", "json")
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)["problems"][0]["line"] == 2
    Path("penstock.yaml").unlink()
    assert run("deploy", "--check").exit_code == 1


# --- questions -----------------------------------------------------------------------------------


def lines(*answers: str) -> str:
    return "".join(answer + "\n" for answer in answers)


def test_everything_that_is_missing_is_asked_for_and_saved(run: Run) -> None:
    before = "# mine\nname:   'x'\n"
    path = write(before)
    done = run(
        "deploy",
        answers=lines(
            "1", "a/b", "asked",  # flow, a wrong name, a name
            "1",  # work pool
            "y", "1", "x", "0 5 * * *", "UTC", "n", "n",  # a schedule, wrong, right, not active
            "", "y",  # saving has no default answer
        ),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "holds one of" in done.output
    made = deployment("asked")
    assert [(one.schedule.cron, one.active) for one in made.schedules] == [("0 5 * * *", False)]
    text = path.read_text()
    assert text.startswith(before)
    assert (
        text.removeprefix(before)
        .lstrip("\n")
        .startswith("deployments:\n  - name: asked\n    entrypoint: flows.py:load\n")
    )
    again = run("deploy", answers=lines("1"))
    assert again.exit_code == 0, again.output
    assert "Save this deployment" not in again.output
    assert path.read_text() == text


def test_a_new_project_file_is_begun(run: Run) -> None:
    done = run("deploy", "flows.py:load", "-n", "first", "-p", "tests", answers=lines("n", "y"))
    assert done.exit_code == 0, done.output
    assert run("deploy", "--check").exit_code == 0
    assert run("deploy", "-n", "first").exit_code == 0
    assert deployment("first").schedules == []


def test_a_saved_deployment_can_be_declined(run: Run) -> None:
    done = run("deploy", "flows.py:load", "-n", "kept", "-p", "tests", answers=lines("n", "n"))
    assert done.exit_code == 0, done.output
    assert not Path("penstock.yaml").exists()


# --- beginning -----------------------------------------------------------------------------------


def test_a_project_is_begun_once(run: Run, tmp_path: Path) -> None:
    assert run("init").exit_code == 0
    text = Path("penstock.yaml").read_text()
    assert str(tmp_path) in text
    assert Path(".penstockignore").exists()
    assert run("init").exit_code == 0
    assert Path("penstock.yaml").read_text() == text
    assert run("deploy", "--check").exit_code == 0


def test_the_fields_of_a_recipe(run: Run) -> None:
    made = run(
        "deploy", "init", "--recipe", "docker", "-f", "image_name=r/x?a=b", "--field", "tag=1"
    )
    assert made.exit_code == 0
    assert 'image_name: "r/x?a=b"' in Path("penstock.yaml").read_text()
    Path("penstock.yaml").unlink()
    for wrong in (["--recipe", "docker"], ["--field", "x"], ["--recipe", "no"]):
        refused = run("init", *wrong)
        assert refused.exit_code == 2
        assert refused.output.count("Error:") == 1
    asked = run("init", "--recipe", "docker", answers=lines("r/y", "2"))
    assert asked.exit_code == 0
    assert "image_name: r/y" in Path("penstock.yaml").read_text()


def test_a_project_that_is_there_stays(run: Run) -> None:
    path = write("name: x\n", "prefect.yaml")
    assert "stays as it is" in run("init").output
    assert path.read_text() == "name: x\n"
    assert not Path("penstock.yaml").exists()
