"""How fast and how good: measured, beside what could be had."""
