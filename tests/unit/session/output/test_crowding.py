"""When a file has so many interface blocks that the next one had better stand in a new file."""

from capfix.session.output.crowding import MANY_INTERFACES, Crowding


def begun(rotates: bool) -> Crowding:
    """Return it with a first file begun."""
    crowding = Crowding(rotates)
    crowding.begin()
    return crowding


def test_a_file_ends_before_readers_stop() -> None:
    """One more interface than every reader takes begins a new file, where files rotate."""
    assert not begun(True).wants_new_file(MANY_INTERFACES - 1)
    assert begun(True).wants_new_file(MANY_INTERFACES)
    assert not begun(False).wants_new_file(MANY_INTERFACES)


def test_files_do_not_follow_each_other_for_that_reason() -> None:
    """A file that is crowded again goes on, however often that is asked, and so do those after it."""
    crowding = begun(True)
    assert crowding.wants_new_file(MANY_INTERFACES)
    for _ in range(5):
        crowding.begin()
        assert not any(crowding.wants_new_file(MANY_INTERFACES + more) for more in range(100))


def test_after_a_file_that_was_not_crowded_one_may_end_early_again() -> None:
    """Interfaces that came and went over a week are no reason to crowd files for a year."""
    crowding = begun(True)
    assert crowding.wants_new_file(MANY_INTERFACES)
    crowding.begin()
    crowding.begin()
    assert crowding.wants_new_file(MANY_INTERFACES)


def test_a_crowded_file_is_news_once() -> None:
    """In whichever file it happens."""
    crowding = begun(False)
    assert [crowding.is_news(count) for count in (MANY_INTERFACES - 1, MANY_INTERFACES, 999)] == [
        False,
        True,
        False,
    ]
    crowding.begin()
    assert not crowding.is_news(MANY_INTERFACES)
