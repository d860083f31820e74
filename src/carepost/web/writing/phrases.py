"""Six words that can be told by telephone: what a sender may agree on with the reader of a secure link. PURE.

Promises
    Six of 256 words, drawn evenly: 48 bits, of which a reader has ten tries a day (portal/reading.py).
    Each is short, spelled as it sounds, and no two sound alike; none is about illness, people or belief.
"""

import secrets
from collections.abc import Callable

WORDS_SUGGESTED = 6
_LIST = """
acorn amber anchor anvil apple apron arch arrow atlas autumn badger bagel bamboo banjo barrel basket beacon
beaver beetle bench birch biscuit blanket blossom bonnet bottle boulder bracket bramble breeze brick bridge
bronze bucket bundle butter button cabbage cabin cactus camel candle canvas carpet carrot castle cedar cello
chalk cherry chimney cinnamon circle cloud clover cobalt coconut comet compass copper coral cotton cradle crayon
cricket crystal cushion daffodil daisy dancer denim desert diamond dinner dolphin donkey dragon drawer drum
eagle echo elbow ember emerald engine evening falcon feather fern fiddle finger flannel flute forest fossil
fountain fox galaxy garden garlic gazelle gherkin ginger glacier goblet granite grape gravel guitar hammer
harbour harvest hazel hedge helmet heron hill honey hotel igloo island ivory jacket jasmine jigsaw jungle kayak
kettle kitchen kitten ladder lagoon lamp lantern lavender lemon lettuce lilac linen lizard lobster locket magnet
magpie mango maple marble meadow melon mirror mitten monkey mountain muffin mustard napkin nectar needle nutmeg
oak ocean olive onion orange orchard otter oven oyster paddle paint panda paper parrot peach pebble pelican
pencil pepper piano picnic pigeon pillow pilot planet plum pocket pond poppy potato pumpkin puzzle quilt rabbit
raccoon radio rainbow raisin raven ribbon river robin rocket saddle saffron salmon sandal satin scarf school
shadow shelf silver sketch sparrow spinach spoon squirrel stable stone summer sunset swan table tablet tangerine
teapot teaspoon tiger timber toffee tomato torch tractor trumpet tulip tunnel turnip turtle umbrella valley
vanilla velvet violin volcano waffle wagon walnut walrus waterfall whistle willow window winter yellow yoghurt
zebra
"""
WORDS = tuple(_LIST.split())


def six_words(chance: Callable[[int], int] = secrets.randbelow) -> str:
    """Such as "copper lantern walnut river spoon maple". `chance(n)` draws evenly from 0 to n - 1."""
    return " ".join(WORDS[chance(len(WORDS))] for _ in range(WORDS_SUGGESTED))
