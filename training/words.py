"""Every word that the grammar can say, for the tokenizer to learn."""

from training import grammar

_GLUE = "a an and with in it that is to the of on against background , . and a photo image"
_TABLES = (
    grammar.COLOUR_WORDS,
    grammar.SHAPE_WORDS,
    grammar.SIZE_WORDS,
    grammar.BACKGROUND_WORDS,
    grammar.RELATION_WORDS,
)


def grammar_words() -> list[str]:
    """Sorted, each once."""
    phrases = [phrase for table in _TABLES for words in table.values() for phrase in words]
    phrases += [*grammar.OPENINGS, *_GLUE.split()]
    return sorted({word for phrase in phrases for word in phrase.split()})
