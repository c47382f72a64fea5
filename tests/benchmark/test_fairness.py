from napari_structsr.benchmark.comparison import MethodFacts
from napari_structsr.benchmark.fairness import describe_fairness

BICUBIC = MethodFacts("bicubic", learned=False)


def method(name, *, seen=300.0, operations=0.16e6, data=("a", "b")):
    """Describe a learned method."""
    return MethodFacts(
        name, learned=True, operations=operations, seen_megapixels=seen, data=data
    )


def test_equal_budgets_are_matched():
    facts = [BICUBIC, method("mine"), method("srgan", seen=310, operations=0.18e6)]
    assert describe_fairness(facts) == (
        "Matched: mine, srgan share their training images, 300 to 310 Mpx seen, and "
        "0.16 to 0.18 M multiply-adds a measured pixel."
    )


def test_each_difference_is_named():
    facts = [
        method("mine"),
        method("other"),
        method("long", seen=900),
        method("large", operations=2e6),
        method("elsewhere", data=("c",)),
        method("silent", seen=None, data=()),
    ]
    said = describe_fairness(facts)
    assert said.startswith("Not matched: ")
    assert "long has seen 900 Mpx, the median being 300" in said
    assert "large needs 2 M multiply-adds a pixel, the median being 0.16" in said
    assert "elsewhere was trained on other images" in said
    assert "silent does not state its training images" in said
    assert "silent does not state how many pixels it has seen" in said
    assert "mine" not in said
    assert "other" not in said.replace("other images", "")


def test_one_learned_method_has_nothing_to_match():
    names = ("mine", "mine, noise", "mine@told")
    facts = [BICUBIC, *map(method, names)]
    assert "nothing to match" in describe_fairness(facts)
