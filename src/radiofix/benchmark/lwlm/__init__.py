"""The figures of the LWLM paper, section VI, run again: protocols, methods, runs."""
