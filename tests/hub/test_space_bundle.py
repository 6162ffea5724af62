"""The bundle is what a Space builds and starts: its card, requirements, hardware, and the code itself."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from refusals import assert_message
from stand_in import TOKEN

from studio import processes
from studio.errors import NotPossible
from studio.hub import account, push, refusals, space_bundle
from studio.hub.refusals import HubRefused


@pytest.fixture
def bundle(tmp_path):
    return space_bundle.write(tmp_path / "bundle")


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((processes.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_card_says_what_to_build_and_start(bundle, project):
    card = yaml.safe_load((bundle / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert (card["sdk"], card["suggested_hardware"]) == ("gradio", "zero-a10g")
    assert (bundle / card["app_file"]).is_file()
    assert card["python_version"] == "3.12", "the hub reads 3.12, not a number"
    assert Version(card["python_version"]) in Requirement(f"python{project['requires-python']}").specifier
    gradio = next(line for line in project["dependencies"] if line.startswith("gradio"))
    assert Version(card["sdk_version"]) in Requirement(gradio).specifier
    assert len(card["short_description"]) <= 60


def test_the_requirements_are_the_project_s_but_for_gradio_and_torch(bundle, project):
    lines = (bundle / "requirements.txt").read_text(encoding="utf-8").split("\n")[:-1]
    by_name = {Requirement(line).name: Requirement(line) for line in lines}
    wanted = {Requirement(line).name: Requirement(line) for line in project["dependencies"]}
    assert set(by_name) == set(wanted) - {"gradio"} | {"spaces"}
    different = {name for name in wanted if name in by_name and by_name[name] != wanted[name]}
    assert different == {"torch"}
    assert not by_name["torch"].specifier.contains("2.12.0"), "ZeroGPU has none"
    for version in ("2.8.0", "2.11.0"):
        assert by_name["torch"].specifier.contains(version)
        assert wanted["torch"].specifier.contains(version)


def test_an_installed_studio_finds_the_same_requirements(project, monkeypatch, tmp_path):
    lines = [
        *project["dependencies"],
        *(f'{line}; extra == "space"' for line in project["optional-dependencies"]["space"]),
    ]
    monkeypatch.setattr(
        space_bundle.importlib.metadata, "requires", lambda name: [*lines, 'ruff; extra == "test"']
    )
    expected = space_bundle.requirements()
    monkeypatch.setattr(space_bundle, "PROJECT_FILE", tmp_path / "none.toml")
    assert space_bundle.requirements() == expected


def test_the_bundle_holds_the_studio_and_nothing_of_this_machine(bundle, studio_home):
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*")}
    assert {"studio/app.py", "presets/models.yaml", "assets/studio.css", "studio/locales/zh.yaml"} <= names
    assert not [name for name in names if re.search(r"__pycache__|\.pyc$|/\.|^tests|\.png$", name)]
    for path in bundle.rglob("*.py"):
        assert str(studio_home) not in path.read_text(encoding="utf-8")


def test_the_bundle_s_own_studio_starts_from_its_folder(bundle, tmp_path):
    command = [sys.executable, str(bundle / "studio" / "app.py"), "methods"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=bundle, check=False)
    assert done.returncode == 0, done.stderr
    assert "lora" in done.stdout.lower()


def test_a_folder_with_something_in_it_is_left_alone(bundle):
    with pytest.raises(NotPossible) as caught:
        space_bundle.write(bundle)
    assert_message(caught.value, space_bundle.FOLDER_NOT_EMPTY, folder=bundle)


def test_the_space_is_made_private_and_its_hardware_is_named(bundle, hub):
    person = account.sign_in(TOKEN)
    address = push.upload(space_bundle.prepare(bundle, "studio", person), person)
    asked = hub.repos["ada/studio"].asked
    assert address == f"{hub.address}/spaces/ada/studio"
    assert (asked["type"], asked["sdk"], asked["hardware"]) == ("space", "gradio", "zero-a10g")
    assert asked["visibility"] == "private"
    assert {"README.md", "requirements.txt", "studio/app.py"} <= set(hub.repos["ada/studio"].files)


def test_a_space_that_costs_something_names_the_free_ways(bundle, hub):
    person = account.sign_in(TOKEN)
    hub.refuse("POST", "/repos/create", 402, "Gradio Spaces on cpu-basic need a PRO plan")
    with pytest.raises(HubRefused) as caught:
        push.upload(space_bundle.prepare(bundle, "studio", person), person)
    assert_message(caught.value, refusals.SPACE_NOT_FREE, repo="ada/studio")
    assert "ZeroGPU" in caught.value.hint.render()
    assert "static" in caught.value.hint.render()


def test_whether_everyone_sees_a_space_is_asked_as_nobody(hub):
    hub.anonymous = True
    person = account.sign_in(TOKEN)
    for name, private in (("shown", False), ("hidden", True)):
        person.api.create_repo(f"ada/{name}", private=private, repo_type="space", space_sdk="static")
    hub.sent_tokens.clear()
    assert account.is_visible_to_all("ada/shown", "space")
    assert not account.is_visible_to_all("ada/hidden", "space")
    assert set(hub.sent_tokens) == {""}
    hub.refuse("GET", "/api/spaces", 500)
    assert account.is_visible_to_all("ada/hidden", "space"), "where the hub does not say, strangers may come"
