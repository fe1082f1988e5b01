from modelcore.diffusion.call_sizes import TimedCallSize


def test_nothing_measured_means_the_most() -> None:
    assert TimedCallSize(32).slots("small") == 32


def test_a_fast_network_is_called_with_the_most() -> None:
    size = TimedCallSize(32, longest_call_s=1.0)
    size.took("small", 2, 0.01)
    assert size.slots("small") == 32


def test_a_slow_network_is_called_with_as_many_as_fit_into_the_longest_call() -> None:
    size = TimedCallSize(32, longest_call_s=1.0)
    size.took("large", 2, 0.5)
    assert size.slots("large") == 4


def test_at_least_one_slot_is_left() -> None:
    size = TimedCallSize(32, longest_call_s=1.0)
    size.took("huge", 2, 60.0)
    assert size.slots("huge") == 1


def test_each_group_has_its_own_pace() -> None:
    size = TimedCallSize(32, longest_call_s=1.0)
    size.took("large", 2, 0.5)
    assert size.slots("small") == 32


def test_one_slow_call_does_not_decide() -> None:
    size = TimedCallSize(32, longest_call_s=1.0)
    for _ in range(10):
        size.took("small", 10, 0.1)
    size.took("small", 10, 1.0)
    assert size.slots("small") == 32
