from __future__ import annotations

import pytest

from scmlib.data.layouts import LAYOUTS, PROTOCOLS, layout_of
from scmlib.errors import BadInput
from scmlib.settings import published_recipes


def test_every_published_recipe_has_a_layout_with_published_counts() -> None:
    for settings in published_recipes():
        layout = layout_of(settings.dataset)
        assert layout.published["train"].images > 0
        assert not layout.test_only


def test_folders_are_told_apart() -> None:
    folders = [layout.folder for layout in LAYOUTS.values()]
    assert len(set(folders)) == len(folders)


def test_protocols_share_their_data_sets_files() -> None:
    for name, layout in PROTOCOLS.items():
        assert layout.folder == LAYOUTS[name.partition(":")[0]].folder
        assert layout != LAYOUTS[name.partition(":")[0]]


def test_only_fine_grained_sets_are_enlarged_and_only_university_has_views_from_above() -> None:
    assert {name for name, layout in LAYOUTS.items() if layout.margin} == {"car196", "cub200"}
    assert {name for name, layout in LAYOUTS.items() if layout.protocol == "retrieval"} == {"car196", "cub200"}
    assert {name for name, layout in LAYOUTS.items() if layout.satellite} == {"university1652"}
    assert {name for name, layout in LAYOUTS.items() if layout.restarts} == {"msmt17"}


def test_needs_name_each_folder_once() -> None:
    assert layout_of("market1501").needs == ("bounding_box_train", "query", "bounding_box_test")
    assert layout_of("cub200").needs == ("images.txt", "image_class_labels.txt", "images")


def test_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(BadInput, match="Unknown data set 'market': choose one of synthetic, market1501"):
        layout_of("market")
