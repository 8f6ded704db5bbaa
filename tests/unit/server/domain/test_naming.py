from penstock.server.domain.naming import ADJECTIVES, CREATURES, name_for


def test_every_name_is_two_lower_case_words() -> None:
    for words in (ADJECTIVES, CREATURES):
        assert len(set(words)) == len(words) > 100
        assert all(word.isalpha() and word.islower() for word in words)


def test_numbers_walk_through_all_names() -> None:
    total = len(ADJECTIVES) * len(CREATURES)
    assert len({name_for(number) for number in range(total)}) == total
    assert name_for(total) == name_for(0) == f"{ADJECTIVES[0]}-{CREATURES[0]}"
