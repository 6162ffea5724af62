"""A no-code training studio: one plan goes in, one folder comes out, every screen is a view of those two."""

from studio import quiet

__version__ = "0.1.0"

quiet.silence_libraries()
