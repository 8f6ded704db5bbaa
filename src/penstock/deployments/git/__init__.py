"""Getting code with git: what is refused before git sees it, how git is run, what it said."""
