"""The command line, one file a command.

Each has `add_arguments(parser)` and `run(options)`, which returns the exit code.
"""

EXIT_OK, EXIT_FAILED, EXIT_INVALID = 0, 1, 2
