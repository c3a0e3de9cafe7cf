"""The compose file and the values of the chart: a server as README and docs say, with no more rights than it needs.

Taken from Docker's documentation: ``${NAME:-default}`` is the default if the variable is unset or empty, ``$$`` is a
dollar; ``entrypoint`` takes the place of the image's command; a service with a profile starts when it is named.
Taken from Qdrant's Dockerfile and source: the image runs ``./entrypoint.sh``, which hands its arguments on and recovers
from running out of memory, in ``/qdrant``, as the user 1000 in the tags ``-unprivileged``; data are in ``storage``,
snapshots in ``snapshots``; ``/readyz`` needs no key; an empty ``QDRANT__SERVICE__API_KEY`` is a key.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from documentation import PAGES, ROOT, blocks

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES = yaml.safe_load(TEXT)["services"]
VALUES = yaml.safe_load((ROOT / "examples" / "kubernetes" / "qdrant-values.yaml").read_text(encoding="utf-8"))
each_service = pytest.mark.parametrize("name", SERVICES)


def interpolated(value: str, environment: dict[str, str]) -> str:
    """A value of the file as Docker reads it."""

    def replaced(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else environment.get(found["name"]) or found["default"]

    return re.sub(r"\$\$|\$\{(?P<name>\w+):-(?P<default>[^}]*)\}", replaced, value)


def started(name: str, environment: dict[str, str], folder) -> dict:
    """Start a service with a script in place of the image's. Return its arguments and environment."""
    service = SERVICES[name]
    script = folder / "entrypoint.sh"
    script.write_text(
        f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
    )
    script.chmod(0o755)
    command = [interpolated(part, environment) for part in [*service["entrypoint"], *service.get("command", [])]]
    settings = {key: interpolated(value, environment) for key, value in service["environment"].items()}
    ran = subprocess.run(
        command, cwd=folder, env={"PATH": os.environ["PATH"]} | settings, capture_output=True, check=True
    )
    arguments, found = json.loads(ran.stdout)
    return {"arguments": arguments, "environment": found}


needs_shell = pytest.mark.skipif(shutil.which("sh") is None or sys.platform == "win32", reason="needs a POSIX shell")


@needs_shell
@each_service
@pytest.mark.parametrize("environment", [{}, {"QDRANT_API_KEY": ""}], ids=["unset", "empty"])
def test_without_a_key_the_server_has_none(name, environment, tmp_path):
    assert "QDRANT__SERVICE__API_KEY" not in started(name, environment, tmp_path)["environment"]


@needs_shell
@each_service
def test_with_a_key_the_server_has_it(name, tmp_path):
    assert started(name, {"QDRANT_API_KEY": "a key"}, tmp_path)["environment"]["QDRANT__SERVICE__API_KEY"] == "a key"


@needs_shell
def test_nodes_are_told_where_they_and_the_first_one_are(tmp_path):
    assert started("qdrant", {}, tmp_path)["arguments"] == []
    assert started("qdrant-1", {}, tmp_path)["arguments"] == ["--uri", "http://qdrant-1:6335"]
    for name in ("qdrant-2", "qdrant-3"):
        found = started(name, {}, tmp_path)
        assert found["arguments"] == ["--bootstrap", "http://qdrant-1:6335", "--uri", f"http://{name}:6335"]
        assert found["environment"]["QDRANT__CLUSTER__ENABLED"] == "true"
        assert SERVICES[name]["depends_on"] == {"qdrant-1": {"condition": "service_healthy"}}


@each_service
def test_a_server_has_no_more_rights_than_it_needs(name):
    service = SERVICES[name]
    assert service["image"].endswith("-unprivileged")
    assert "user" not in service
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]


@each_service
def test_a_server_can_write_where_it_has_to(name):
    service = SERVICES[name]
    targets = [volume.partition(":")[2] for volume in service["volumes"]]
    assert targets == ["/qdrant/storage", "/qdrant/snapshots"]
    assert service["environment"]["QDRANT_INIT_FILE_PATH"].startswith(f"{service['tmpfs'][0]}/")


def test_no_two_servers_share_a_volume_or_a_port():
    names = [volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]]
    assert sorted(names) == sorted(yaml.safe_load(TEXT)["volumes"])
    assert len(names) == len(set(names))
    ports = [port for service in SERVICES.values() for port in service["ports"]]
    assert len({port.split(":")[1] for port in ports}) == len(ports)


@each_service
def test_ports_are_open_to_this_machine_alone(name):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@each_service
def test_a_server_is_limited_and_recovers(name):
    service = SERVICES[name]
    assert interpolated(service["mem_limit"], {}) == "4g"
    assert interpolated(service["mem_limit"], {"QDRANT_MEMORY": "16g"}) == "16g"
    assert service["pids_limit"] > 0
    assert service["logging"]["options"]["max-size"]
    assert service["restart"] == "unless-stopped"
    assert service["environment"]["QDRANT_ALLOW_RECOVERY_MODE"] == "true"


@each_service
def test_a_collection_that_loads_for_a_minute_does_not_make_a_server_unhealthy(name):
    check = SERVICES[name]["healthcheck"]
    assert check["start_period"] == "10m"
    assert "/readyz" in check["test"][-1]


@each_service
def test_statistics_of_use_are_sent_only_if_that_was_chosen(name):
    setting = SERVICES[name]["environment"]["QDRANT__TELEMETRY_DISABLED"]
    assert interpolated(setting, {}) == "true"
    assert interpolated(setting, {"QDRANT_TELEMETRY_DISABLED": "false"}) == "false"


def test_the_cluster_starts_only_when_it_is_asked_for():
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["qdrant"]


def test_commands_in_the_docs_name_services_that_are_there():
    lines = [line for page in PAGES for block in blocks(page) for line in block.code.splitlines()]
    named = [
        name for line in lines for name in re.findall(r"(?<=\s)qdrant(?:-\d)?\b", line.partition("docker compose")[2])
    ]
    assert set(named) == set(SERVICES)
    assert not any("--scale" in line for line in lines)  # it would remove the server that is there


def test_the_chart_gets_the_settings_of_the_compose_file():
    service = SERVICES["qdrant-1"]
    tag = service["image"].partition(":")[2].removesuffix("-unprivileged")
    assert VALUES["image"] == {"tag": tag, "useUnprivilegedImage": True}
    assert VALUES["replicaCount"] == sum("profiles" in service for service in SERVICES.values())
    assert {"name": "QDRANT_ALLOW_RECOVERY_MODE", "value": "true"} in VALUES["env"]
    assert VALUES["config"]["telemetry_disabled"] is True
    assert VALUES["config"]["cluster"]["enabled"] is True
    assert "secretKeyRef" in VALUES["apiKey"]["valueFrom"]
    assert VALUES["snapshotPersistence"]["enabled"] is True
    assert VALUES["resources"]["limits"]["memory"] == "4Gi"
    container = VALUES["containerSecurityContext"]
    assert container["readOnlyRootFilesystem"] is container["runAsNonRoot"] is True
    assert container["allowPrivilegeEscalation"] is container["privileged"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    startup = VALUES["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 600


def test_the_tests_on_a_server_use_its_version():
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    assert f"image: {SERVICES['qdrant']['image'].removesuffix('-unprivileged')} " in workflow
