"""Reads what others have traced or measured into stores; each importer is one module."""
