"""The command `penstock`: one module per command group, loaded when it is called."""
