"""What runs inside a sandbox: a process that forks one confined child for each program.

Standard library only, as Shosei itself cannot be read in there. The folder is put into the sandbox as it is.
"""
