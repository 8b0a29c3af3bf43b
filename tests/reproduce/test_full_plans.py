"""Plans of the experiments in full: their rows, seeds, codings and cost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from mas_train.cli.reproduce import command as reproduce
from mas_train.model.backbones import make_backbone
from mas_train.reproduce.estimate import FORWARD_FLOP, estimate_cost
from mas_train.reproduce.full import row_targets, ucf101_plan, with_seeds

ALL = ("$UCF101", "$HMDB51", "$ASLAN", "$VIEW2", "$YUPENN")


def test_full_plans_fill_every_row_of_ours() -> None:
    assert row_targets("ucf101")[:3] == ["motion-grid", "motion-rings", "motion-triangles"]
    steps = {step.name for step in ucf101_plan(ALL)}
    assert {f"finetune-ucf101-{targets}" for targets in row_targets("ucf101")} <= steps
    assert {"finetune-hmdb51-scratch", "aslan-finetuned-ucf101-joint", "yupenn-runs-joint"} <= steps
    assert not [name for name in (s.name for s in ucf101_plan(("$UCF101",))) if "hmdb51" in name]


@pytest.mark.parametrize("name", ["ucf101", "kinetics"])
def test_the_commands_print_their_plan_and_its_cost(name: str, tmp_path: Path) -> None:
    others = ["--ucf101", str(tmp_path)] if name == "kinetics" else []
    printed = CliRunner().invoke(reproduce, [name, "--root", str(tmp_path), *others, "--dry-run"])
    assert printed.exit_code == 0, printed.output
    assert "# networks: " in printed.output and "mas-labels make" in printed.output
    assert "--coding" not in printed.output
    coded = CliRunner().invoke(
        reproduce, [name, "--root", str(tmp_path), *others, "--dry-run", "--coding", "recoded"]
    )
    assert "--coding recoded" in coded.output


def test_networks_of_other_seeds_have_their_own_folders_and_options() -> None:
    plan = ucf101_plan(ALL)
    assert with_seeds(plan, 1) == plan
    steps = {step.name: step for step in with_seeds(plan, 2)}
    tuned = steps["finetune-ucf101-joint-seed1"]
    assert (
        tuned.command[-2:] == ("--seed", "1")
        and tuned.resumes_from == "finetuned/ucf101-joint-seed1/finetuned.pt"
    )
    assert {"runs/joint-seed1", "finetuned/ucf101-scratch-seed1", "labels/ucf101-train1"} < set(tuned.command)
    assert {"label-ucf101-train1", "pretrain-joint-seed1", "finetune-ucf101-scratch-seed1"} <= set(
        tuned.after
    )
    assert "aslan-runs-joint-seed1" in steps and "aslan-scratch-seed1" not in steps
    hours = [
        float(re.findall(r"networks: (\d+)", estimate_cost(with_seeds(plan, n), 2, 1)[1])[0]) for n in (1, 3)
    ]
    assert hours[1] == pytest.approx(3 * hours[0], rel=0.01)


def test_a_coding_is_a_further_row_and_has_what_it_needs() -> None:
    plans = {
        name: {step.name: step for step in ucf101_plan(ALL, coding=name)} for name in ("recoded", "dense")
    }
    for name, steps in plans.items():
        trained = steps[f"pretrain-joint-{name}"].command
        assert (
            trained[trained.index("--coding") + 1] == name
            and trained[trained.index("--targets") + 1] == "joint"
        )
        assert {f"finetune-ucf101-joint-{name}", f"finetune-hmdb51-joint-{name}"} <= steps.keys()
        assert ("--no-store-boundaries" in steps["label-ucf101-train1"].command) == (name == "recoded")
    plain, dense = (estimate_cost([plan["label-ucf101-train1"]], 1, 1)[0] for plan in plans.values())
    assert "15 GB" in plain and "32 GB" in dense


def test_estimate_by_hand() -> None:
    label, train = ucf101_plan(("$UCF101",))[0], ucf101_plan(("$UCF101",))[2]
    assert train.name == "pretrain-motion-grid"
    labels, networks = estimate_cost([label, train], cores=2, gpu_tflops=1)
    assert labels.startswith(f"labels: {106_000 / 5.5 / 3600:.0f} hours of one core")
    hours = 3 * 20 * 106_000 * 38.4e9 / 1e12 / 3600
    assert networks.startswith(f"networks: {hours:.0f} hours")


def test_forward_work_is_counted_from_the_network() -> None:
    network, work = make_backbone("c3d", width=1 / 64), 0
    shapes: list[int] = []
    for conv in network.convs:
        conv.register_forward_hook(lambda layer, clips, maps: shapes.append(maps[0, 0].numel()))
    network.features(torch.zeros(1, 3, 16, 112, 112))
    channels = (3, 64, 128, 256, 256, 256)
    for positions, inputs, outputs in zip(shapes, channels, channels[1:], strict=False):
        work += 2 * positions * inputs * outputs * 27
    assert work == pytest.approx(FORWARD_FLOP, rel=0.01)
