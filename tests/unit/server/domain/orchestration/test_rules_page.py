"""The page on orchestration shows the rules and the matrix as they are."""

from pathlib import Path

import pytest
from scripts import rules

from penstock.server.domain.orchestration.policy import POLICIES


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert rules.main(["--check"]) == 0, capsys.readouterr().err


def test_a_page_that_is_out_of_date_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "orchestration.md"
    page.write_text(rules.PAGE.read_text().replace("CopyScheduledTime", "Other"))
    monkeypatch.setattr(rules, "PAGE", page)
    monkeypatch.setattr(rules, "ROOT", tmp_path)
    assert rules.main(["--check"]) == 1
    assert "run scripts/rules.py" in capsys.readouterr().err
    assert rules.main([]) == 0
    assert rules.main(["--check"]) == 0


def test_every_rule_of_every_policy_has_a_row() -> None:
    text = rules.PAGE.read_text()
    for policy in POLICIES:
        _, _, section = text.partition(f"### {policy.name}\n")
        section = section.partition("\n#")[0]
        for number, rule in enumerate(policy.rules, 1):
            assert f"| {number} | {rule.name} |" in section
