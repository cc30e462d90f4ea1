from .layout import Layout as Layout
from .strategies import create_layout as create_layout
