"""How fast a server answers, and what it does when it is asked for more: for measuring."""
