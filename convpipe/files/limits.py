"""The most that texts of people's own may be: configs, lists of points, words. Each limit with its reason.

Who mails a file does not decide what reading it costs: what is beyond a limit is refused in one line, in two seconds
and 300 MiB on a machine of 2024. What people write by hand or by a script for a sweep stays far below; numbers by the
million belong into .npy files, which are read in their own way.
"""

# A config, as a file of one's own and as an archive's config.yaml: 1,500 layers with all their settings are 200 KiB.
MOST_CONFIG_BYTES = 1 << 20
# Names, values, lists and groups in the files of one config: OmegaConf takes 0.07 ms for each, 1.4 s in all. An image
# of 100 x 100 written out has 10,101.
MOST_VALUES = 20_000
# The same of an archive's config.yaml, which OmegaConf does not see: 0.7 s and 60 MiB. What a run writes has fewer, as
# it comes from MOST_VALUES and from arrays of at most 10,000 numbers.
MOST_ARCHIVED_VALUES = 150_000
# A list of points: of 100,000 with 5 columns a table has 2 MiB, and a JSON file 8 MiB.
MOST_POINTS_BYTES = 16 << 20
MOST_POINTS = 250_000
MOST_COLUMNS = 1_000  # of a table: a config has some 200 settings, and a network a dozen for each layer
MOST_CELLS = 1_000_000  # of a list of points
# Names and values of a YAML list of points, which takes 15 times as long as a table; 9,000 points of 5 columns.
MOST_LISTED_VALUES = 100_000
# Digits of a number in YAML. Python stops at 4,300, but not in hexadecimal or where colons stand in it.
MOST_DIGITS = 400
# Brackets, commas and the like in a word that is no list of numbers: Hydra's grammar takes 0.06 ms for each.
MOST_MARKS = 10_000
MOST_CHARACTERS = 200_000  # of such a word: the grammar takes 0.01 ms for a point or a slash
MOST_INNER_MARKS = 3_000  # the same within brackets, where it takes 0.2 ms for each of 3,000, and 2 ms of 30,000
MOST_BRACKETS = 60  # within each other; files end at 50
MOST_KEY = 255  # characters: a group is a folder, whose name can have no more
MOST_SETTINGS = 2_000  # on one command line: Hydra takes 1 ms for each, and looks through all of them again and again
MOST_REFERENCE = 1_000  # characters of one reference
# Of references to other settings: characters and values once all are followed, and how often one is followed, which
# takes OmegaConf 0.05 ms.
MOST_GROWN = 1 << 20
MOST_FOLLOWED = 10_000
