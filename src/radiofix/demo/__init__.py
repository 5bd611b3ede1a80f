"""What the project does, shown in a minute: labelled points of one street, a table, a page."""
