"""What can be said on the command line, a module for each part of the work.

Nothing here opens data or a key: `hetao --help` loads these and no command. Each
`add_…` adds one command, or one group of them, and names the function that runs it,
which `hetao.cli.main` imports only when it is called.
"""
