"""Connected workers: who is there, what they are told, and which teardowns they get."""
