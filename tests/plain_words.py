"""Words to build rows of that differ, and are the same in each run of a test."""

WORDS = [
    "amber",
    "birch",
    "cedar",
    "dusk",
    "ember",
    "frost",
    "grove",
    "haze",
    "iris",
    "jade",
    "kelp",
    "lark",
    "moss",
    "nettle",
    "oak",
    "pine",
    "quill",
    "reed",
    "sage",
    "thyme",
]
