"""Where the page of these tests is, and who comes to it."""

PASSWORD = "correct horse battery"
# All of 127.0.0.0/8 is this machine on Linux and Windows, so that each visitor has an address of its own.
HOST, PROXY, VISITOR, STRANGER = "127.0.0.2", "127.0.0.1", "127.0.0.5", "127.0.0.6"
NAME = "studio.example.org"
