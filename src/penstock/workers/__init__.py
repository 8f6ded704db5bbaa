"""Workers: they take runs from a work pool and see to their infrastructure."""
