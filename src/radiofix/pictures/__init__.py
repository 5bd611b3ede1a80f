"""Pictures of scenes and links, for print and for the web."""

from radiofix.pictures.link_view import link_picture
from radiofix.pictures.scene_view import scene_picture
from radiofix.pictures.style import save

__all__ = ["link_picture", "save", "scene_picture"]
