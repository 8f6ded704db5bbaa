"""Types that arguments of public functions have."""
