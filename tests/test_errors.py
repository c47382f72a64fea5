import pytest
from pydantic import BaseModel, ValidationError, model_validator

from napari_structsr.cli.terminal import make_settings
from napari_structsr.errors import SettingsError, describe_faults


class Ranges(BaseModel):
    low: int = 0
    high: list[int] = []

    @model_validator(mode="after")
    def _check(self):
        if self.low > 5:
            raise ValueError("low and high contradict each other")
        return self


def faults_of(**values):
    with pytest.raises(ValidationError) as found:
        Ranges(**values)
    return describe_faults(found.value.errors())


def test_faults_name_their_entries():
    text = faults_of(low="x", high=[1, "y"])
    assert text.startswith("low: Input should be a valid integer")
    assert "; high.1: Input should be" in text


def test_a_fault_of_all_entries_has_no_name():
    assert faults_of(low=6) == "low and high contradict each other"
    with pytest.raises(SettingsError, match=r"^low .*; see demo --help"):
        make_settings(Ranges, "demo", low=6)
    with pytest.raises(SettingsError, match=r"^--low x: should be a valid"):
        make_settings(Ranges, "demo", low="x")


def test_thousands_of_faults_are_counted():
    text = faults_of(high=["x"] * 1000)
    assert text.count("high.") == 8
    assert text.endswith("; and 992 more")
